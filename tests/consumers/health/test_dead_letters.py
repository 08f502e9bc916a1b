import json
from pathlib import Path

import pytest

from consumers.health.dead_letters import description, export, hexdump, listing, printable
from streams.deadletters import DeadLetter, Origin, Refusal, Refused


def letter(number: int = 0, value: bytes | None = b"\x00abc", **origin: object) -> DeadLetter:
    place = Origin(**{"topic": "tokens.text", "partition": 1, "offset": 7, **origin})  # type: ignore[arg-type]
    refusal = Refusal(place, "ShapeError", "odd", "activations", "activations.r", "r", "id")
    return DeadLetter(number, refusal, b"key", value)


def test_a_listing_ends_with_positions_and_letters():
    one, two = letter().refusal, letter(topic="notes.txt, line 3", partition=-1, offset=-1).refusal
    assert list(listing([Refused(0, 3, one), Refused(4, 1, two)])) == [
        "0  tokens.text, partition 1, offset 7  activations.r  ShapeError: odd (3 times)",
        "4  notes.txt, line 3  activations.r  ShapeError: odd",
        "2 refused positions, 4 dead letters",
    ]


def test_a_description_shows_cause_place_and_first_bytes():
    text = "\n".join(description(letter(timestamp=1_000), shown_bytes=2))
    assert "ShapeError: odd" in text
    assert "offset 7, written 1970-01-01 00:00:01+00:00" in text
    assert "run       r (id id)" in text
    assert "value: 4 bytes\n  00000000  00 61 " in text
    assert "abc" not in text


@pytest.mark.parametrize("timestamp", [-1, 10**18])
def test_an_impossible_time_is_left_out(timestamp: int):
    assert "written" not in "\n".join(description(letter(timestamp=timestamp), 0))


def test_a_dump_shows_bytes_and_what_is_printable():
    assert list(hexdump(b"0123456789abcdefg\xff")) == [
        "  00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
        "  00000010  67 ff                                            g.",
    ]


def test_a_dump_shows_all_of_printable_ascii_and_nothing_else():
    (line,) = hexdump(b"\x1f ~\x7f\x80\xff")
    assert line.endswith(". ~...")
    assert list(hexdump(b"")) == []


def test_what_is_unknown_of_a_dead_letter_is_said_to_be():
    refusal = Refusal(Origin("", -1, -1, 0), "ShapeError", "odd", "", "", "", "")
    lines = list(description(DeadLetter(3, refusal, None, None), 16))
    assert lines == [
        "dead letter 3",
        "stood at  nowhere, written 1970-01-01 00:00:00+00:00",
        "error     ShapeError: odd",
        "refused by nobody named, stage unknown",
        "key: none",
        "value: none",
    ]
    (line,) = list(listing([Refused(0, 1, letter(offset=0).refusal)]))[:1]
    assert line.startswith("0  tokens.text, partition 1, offset 0  ")


def test_control_characters_do_not_reach_the_terminal():
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"


def test_each_position_is_written_once_with_an_index(tmp_path: Path):
    letters = [
        letter(0),
        letter(1, offset=8, value=None),
        letter(2),
        letter(3, offset=9, value=b""),
    ]
    assert export(letters, tmp_path / "out") == 3
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert [entry["number"] for entry in index] == [0, 1, 3]
    assert (tmp_path / "out" / index[0]["value"]).read_bytes() == b"\x00abc"
    assert (tmp_path / "out" / index[0]["key"]).read_bytes() == b"key"
    assert index[1]["value"] is None
    assert (tmp_path / "out" / index[2]["value"]).read_bytes() == b""
    assert index[0]["origin"] == {
        "topic": "tokens.text",
        "partition": 1,
        "offset": 7,
        "timestamp": -1,
    }


@pytest.mark.parametrize("topic", ["../../etc/passwd", "/abs", "a\x00b", "x" * 5000, "", ".."])
def test_no_header_leads_out_of_the_folder(topic: str, tmp_path: Path):
    export([letter(topic=topic)], tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert len(list((tmp_path / "out").iterdir())) == 3
