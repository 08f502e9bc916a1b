"""Arrow's files whose messages claim more than they should, and others, which pass unchanged."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from producers.readers import arrow_file, arrow_messages
from producers.readers.arrow_messages import CheckedStream
from tests.producers.readers.reading import skipping, texts

SMALL = 2**16
KINDS = {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_messages, "MOST_IN_MEMORY", SMALL)
    monkeypatch.setattr(arrow_file, "MOST_IN_MEMORY", SMALL)


def written(table: pa.Table, codec: str | None = None, open_=pa.ipc.new_stream) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with open_(sink, table.schema, options=options) as writer:
        writer.write_table(table, 3)
    return sink.getvalue()


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_any_stream_passes_unchanged(codec: str | None):
    table = pa.table(
        {
            "text": ["a", None, "c" * 1000, "", "e"],
            "kind": pa.array(["x", "y", "x", "x", None]).dictionary_encode(),
            "ids": [[1, 2], [], None, [3], [4] * 500],
            "nothing": pa.nulls(5),
        }
    )
    data = written(table, codec)
    assert pa.ipc.open_stream(CheckedStream(io.BytesIO(data))).read_all().equals(table)


@pytest.mark.parametrize("open_", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.usefixtures("little_memory")
def test_a_message_that_unpacks_to_too_much_ends_the_file(
    tmp_path: Path, codec: str, open_: Callable
):
    path = tmp_path / "a.arrow"
    table = pa.table({"text": ["a", "b", "c", "\0" * 2**21]})
    path.write_bytes(written(table, codec, open_))
    assert path.stat().st_size < SMALL
    found, bad = skipping(path)
    assert found == ["a", "b", "c"]
    assert [one.where for one in bad] == [f"{path} after row 3"]
    assert "would take 2,09" in bad[0].cause
    assert "more than " in bad[0].cause


@pytest.mark.usefixtures("little_memory")
def test_a_dictionary_that_unpacks_to_too_much_ends_the_file(tmp_path: Path):
    path = tmp_path / "a.arrow"
    column = pa.array(["\0" * 2**21] * 3).dictionary_encode()
    path.write_bytes(written(pa.table({"text": column}), "zstd"))
    found, bad = skipping(path)
    assert (found, len(bad)) == ([], 1)
    assert "would take" in bad[0].cause


@pytest.mark.usefixtures("little_memory")
def test_a_text_that_many_rows_share_becomes_few_of_pythons_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    long = "x" * 20_000
    path = tmp_path / "a.arrow"
    path.write_bytes(written(pa.table({"text": pa.array([long] * 40).dictionary_encode()})))
    sizes = []
    plain = arrow_file.documents_of  # type: ignore[attr-defined]
    monkeypatch.setattr(
        arrow_file,
        "documents_of",
        lambda rows, *more: sizes.append(rows.num_rows) or plain(rows, *more),
    )
    assert texts(path) == [long] * 40
    assert max(sizes) <= SMALL // len(long)


@pytest.mark.parametrize("claim", [2**62, 2**40, -2, -(2**63)])
def test_a_buffer_that_claims_what_is_not_there_ends_the_file(tmp_path: Path, claim: int):
    data = bytearray(written(pa.table({"text": ["a" * 1000] * 3}), "zstd"))
    at = data.rindex(struct.pack("<q", 3000))  # what the text takes unpacked
    data[at : at + 8] = struct.pack("<q", claim)
    path = tmp_path / "a.arrow"
    path.write_bytes(data)
    found, bad = skipping(path)
    assert (found, len(bad)) == ([], 1)
    assert "readable Arrow" in bad[0].cause


def test_an_offset_outside_its_buffer_ends_the_file_and_bad_text_its_row_alone(tmp_path: Path):
    bad_text = pa.array([b"a", b"\xff", b"c"], pa.binary()).cast(pa.string(), safe=False)
    data = bytearray(written(pa.table({"text": bad_text, "other": ["x"] * 3})))
    path = tmp_path / "a.arrow"
    path.write_bytes(data)
    found, bad = skipping(path)
    assert (found, len(bad)) == (["a", "c"], 1)
    offsets = struct.pack("<4i", 0, 1, 2, 3)
    at = data.index(offsets)
    data[at : at + 16] = struct.pack("<4i", 0, -100, 10**6, 3)
    path.write_bytes(data)
    found, bad = skipping(path)
    assert (found, len(bad)) == ([], 1)
    assert "readable Arrow" in bad[0].cause


def test_damage_anywhere_is_an_error_of_ours_or_nothing(tmp_path: Path):
    data = written(pa.table({"text": ["a" * 50] * 3}), "lz4")
    path = tmp_path / "a.arrow"
    for at in range(8, len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        skipping(path)
