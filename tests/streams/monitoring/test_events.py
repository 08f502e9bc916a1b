import logging

import pytest

from streams.monitoring import events


def fields(**changes: object) -> dict[str, object]:
    return {
        "side": "aggregates",
        "topic": "partials.run",
        "partition": 1,
        "offset": 1234567,
        "error": "ShapeError",
        "cause": "odd",
        **changes,
    }


def test_an_event_is_a_sentence_and_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, events.LOGGER):
        events.say(events.DEAD_LETTER, **fields())
    (record,) = caplog.records
    said = "Dead letter: partials.run, partition 1, offset 1234567: ShapeError: odd"
    assert record.getMessage() == said
    assert (record.event, record.fields) == ("dead_letter", fields())  # type: ignore[attr-defined]


def test_what_anybody_wrote_cannot_begin_a_new_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, events.LOGGER):
        events.say(events.DEAD_LETTER, **fields(cause="odd\n2026 INFO all is well\x1b[2K {x} %s"))
    said = caplog.records[0].getMessage()
    assert "\n" not in said
    assert "\x1b" not in said
    assert said.endswith("[2K {x} %s")


@pytest.mark.parametrize("wrong", [{"more": 1}, {}])
def test_an_event_has_all_of_its_fields_and_no_other(wrong: dict[str, object]) -> None:
    given = fields(**wrong)
    if not wrong:
        del given["cause"]
    with pytest.raises(TypeError, match="event dead_letter has the fields"):
        events.say(events.DEAD_LETTER, **given)
