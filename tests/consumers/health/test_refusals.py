"""What becomes of a record that an agent cannot process; ``tests/integration`` has the rest."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from consumers.health.limits import Limits
from consumers.health.refusals import Refusals
from streams import topics
from streams.deadletters import Origin, Refusal, refusal
from streams.errors import RecordError, TooManyDeadLettersError
from streams.monitoring import events
from tests import factories

PLAN = factories.plan()


class App:
    """What a worker's app is asked by its refusals."""

    def __init__(self) -> None:
        self.access = SimpleNamespace(own=lambda name: name.removeprefix("team-"))
        self.conf = SimpleNamespace(id="team-activations.run")
        self.sent: list[tuple[Any, ...]] = []
        self.ended: list[BaseException] = []

    async def send_record(self, *given: Any) -> None:
        self.sent.append(given)

    def end(self, error: BaseException) -> None:
        assert self.sent  # the dead letter is stored before anything ends
        self.ended.append(error)


def event(offset: int = 7, partition: int = 3, timestamp: float | None = 12.5) -> Any:
    message = SimpleNamespace(
        topic="team-tokens.text", partition=partition, offset=offset, timestamp=timestamp,
        key=b"k", value=b"v",
    )  # fmt: skip
    return SimpleNamespace(message=message)


def settled(*given: tuple[Any, RecordError | None], limits: Limits = Limits()) -> tuple[App, Any]:
    app: Any = App()
    refusals = Refusals(app, PLAN, "compute", limits)

    async def work() -> None:
        for each in given:
            await refusals.settle(*each)

    asyncio.run(work())
    return app, refusals


def test_a_dead_letter_says_all_about_its_record_and_holds_its_bytes() -> None:
    app, refusals = settled((event(), RecordError("junk")))
    ((topic, partition, value, key, headers),) = app.sent
    assert (topic, partition, value, key) == (topics.DEAD_LETTERS.name, 0, b"v", b"k")
    assert refusal(headers) == Refusal(
        origin=Origin("tokens.text", 3, 7, 12_500),
        error="RecordError",
        message="junk",
        stage="compute",
        app="activations.run",
        run=PLAN.run.name,
        run_id=PLAN.id,
    )
    assert (refusals.breaker.records, refusals.breaker.recent) == (1, (1,))
    assert app.ended == []


def test_a_record_without_a_time_has_time_zero() -> None:
    app, _ = settled((event(timestamp=None), RecordError("junk")))
    assert refusal(app.sent[0][4]).origin.timestamp == 0


def test_a_processed_record_is_counted_and_nothing_is_sent() -> None:
    app, refusals = settled((event(), None))
    assert (app.sent, app.ended, refusals.breaker.records) == ([], [], 1)


def test_the_log_says_which_record_it_was(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, events.LOGGER):
        settled((event(), RecordError("junk")))
    (line,) = caplog.messages
    assert all(said in line for said in ("tokens.text", "3", "7", "RecordError", "junk"))


def test_too_many_in_a_row_of_one_partition_end_the_worker_in_good_order() -> None:
    limits = Limits(dead_letter_run=2, dead_letter_ratio=1.0)
    bad = RecordError("junk")
    rows = [(event(0), bad), (event(0, partition=4), bad), (event(1), None), (event(2), bad)]
    assert settled(*rows, limits=limits)[0].ended == []
    app, _ = settled(*rows, (event(3), bad), limits=limits)
    (error,) = app.ended
    assert isinstance(error, TooManyDeadLettersError)
    assert "2 records in a row of partition 3" in str(error)
    assert str(error).endswith("the last one: junk")
    assert len(app.sent) == 4
