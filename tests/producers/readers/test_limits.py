"""Text that would have no end: one line that says so, or passed over, in bounded memory."""

import gzip
import io
import json
import lzma
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from producers.fields import Fields
from producers.readers import json_window, opening
from producers.sources import TextSource
from streams.errors import CorpusError
from tests.producers.readers.reading import read, skipping, texts, write
from tests.streams.strategies import quick

SHORT = Fields(max_document_bytes=1000)
LONG = "x" * 1001
json_values = st.recursive(
    st.none() | st.integers() | st.text(',:[]{}"\\', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a":{', max_size=2), inner),
)
TOO_LONG = "longer than the 1,000 bytes of max_document_bytes"


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.txt", LONG, []),
        ("a.jsonl", f'{{"text": "a"}}\n{{"text": "{LONG}"}}\n{{"text": "b"}}\n', ["a", "b"]),
        ("a.jsonl", f'"a"\n{{"text": "{LONG}\n"b"\n', ["a", "b"]),
        ("a.json", f'["a", "{LONG}", "b"]', ["a", "b"]),
        ("a.jsonl", f'"a"\n{{"text": "short", "other": "{LONG}"}}\n"b"\n', ["a", "b"]),
        ("a.csv", f"id,text\n1,a\n2,{LONG}\n3,b\n", ["a", "b"]),
        ("a.csv", f'id,text\n1,a\n2,"{LONG}"\n3,b\n', ["a", "b"]),
        ("a.csv", f"id,{LONG}\n1,a\n", []),
        ("a.jsonl", '"a"\n"' + "\N{EURO SIGN}" * 334 + '"\n"b"\n', ["a", "b"]),
        ("a.jsonl", f'"a"\n{{"input_ids": {[1] * 251}}}\n', ["a"]),
    ],
)
def test_a_document_that_is_too_long_is_named_or_passed_over(tmp_path, name, text, found):
    path = write(tmp_path / name, text)
    with pytest.raises(CorpusError, match=TOO_LONG) as error:
        read(path, SHORT)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    kept, bad = skipping(path, SHORT)
    assert (kept, len(bad)) == (found, 1)


def test_a_document_as_long_as_one_may_be_is_read(tmp_path):
    longest = "x" * 1000
    assert texts(write(tmp_path / "a.txt", longest), SHORT) == [longest]
    fields = Fields(max_document_bytes=1002)
    assert texts(write(tmp_path / "a.jsonl", f'"{longest}"\n"b"'), fields) == [longest, "b"]
    fields = Fields(max_document_bytes=1003)
    assert texts(write(tmp_path / "a.csv", f"id,text\n1,{longest[2:]}\n"), fields) == [longest[2:]]


def test_a_row_of_a_table_that_is_too_long_is_passed_over(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", LONG, "b"]}), path)
    assert skipping(path, SHORT)[0] == ["a", "b"]


def test_a_quoted_field_over_many_lines_is_too_long_as_a_whole(tmp_path):
    path = write(tmp_path / "a.csv", 'id,text\n1,"' + "line\n" * 300 + '"\n')
    with pytest.raises(CorpusError, match=TOO_LONG):
        read(path, SHORT)


class Endless(io.RawIOBase):
    """A line that goes on for as long as somebody reads: up to a limit that no test may meet."""

    def __init__(self, start: bytes, more: bytes) -> None:
        self.start, self.more, self.left = start, more, 2**25

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = (self.start or self.more * len(buffer))[: len(buffer)]
        self.start = b""
        self.left -= len(data)
        assert self.left > 0, "more was read than any bound allows"
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize(
    ("format", "start", "more"),
    [
        ("text", b"", b"x"),
        ("text", b"", b"\0"),
        ("jsonl", b'{"text": "', b"x"),
        ("jsonl", b"[", b"["),
        ("jsonl", b'{"text": "', b"\\"),
        ("jsonl", b"junk", b"x"),
        ("json", b'["a", "', b"x"),
        ("json", b'["a" ', b"x"),
        ("json", b"0.", b"1"),
        ("csv", b"id,text\n1,", b"x"),
        ("csv", b'id,text\n1,"', b"x\n"),
        ("csv", b"id,te", b"x"),
    ],
)
def test_a_stream_without_an_end_ends_the_program_soon(monkeypatch, format, start, more):
    """Only what is skipped is read to its end, if it has one."""
    stream = io.TextIOWrapper(io.BufferedReader(Endless(start, more)))
    monkeypatch.setattr(sys, "stdin", stream)
    fields = Fields(max_document_bytes=2**20)
    with pytest.raises(CorpusError) as error:
        list(TextSource(("-",), format, fields))
    assert "\n" not in str(error.value)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress}


def zstandard_bomb(size: int) -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(size))


@pytest.mark.parametrize("inner", ["txt", "jsonl"])
@pytest.mark.parametrize("kind", [*PACKERS, "zst"])
def test_what_unpacks_without_end_is_read_no_further_than_a_document_may_go(tmp_path, kind, inner):
    size = 2**27
    packed = zstandard_bomb(size) if kind == "zst" else PACKERS[kind](bytes(size))
    path = write(tmp_path / f"bomb.{inner}.{kind}", packed)
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match=r"bomb\.") as error:
            read(path, Fields(max_document_bytes=2**20))
        assert "\n" not in str(error.value)
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    finally:
        tracemalloc.stop()


def test_what_must_be_in_memory_as_a_whole_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MOST_IN_MEMORY", 1000)
    array = io.BytesIO()
    np.save(array, np.ones((300, 8), np.int32))
    for name in ("a.npy.gz", "a.bin.gz"):
        path = write(tmp_path / name, gzip.compress(array.getvalue()))
        with pytest.raises(CorpusError, match=r"more than 1,000 bytes .* unpack it"):
            read(path, Fields(tokens_dtype="int32"))


def test_an_array_that_claims_more_than_there_is_memory_is_refused(tmp_path):
    head = io.BytesIO()
    shape = {"descr": "<i8", "fortran_order": False, "shape": (2**50,)}
    np.lib.format.write_array_header_1_0(head, shape)
    for name, data in (("a.npy", head.getvalue()), ("a.npy.gz", gzip.compress(head.getvalue()))):
        with pytest.raises(CorpusError, match="no readable array"):
            read(write(tmp_path / name, data))


@pytest.mark.parametrize("device", ["/dev/zero", "file:///dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_no_text(device):
    with pytest.raises(CorpusError, match="it is a device, pipe or socket"):
        read(device)


def test_a_pipe_inside_a_folder_or_pattern_is_named_and_not_waited_for(tmp_path):
    write(tmp_path / "a.txt", "a")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    for place in (tmp_path, tmp_path / "*.txt", f"file://{tmp_path}"):
        with pytest.raises(CorpusError):
            read(place)
    kept, bad = skipping(tmp_path)
    assert kept == ["a"]
    assert [Path(one.where).name for one in bad] == ["gone.txt", "pipe.txt"]


def test_a_pipe_that_is_named_is_a_stream_that_is_read_once(tmp_path):
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    source = TextSource((str(pipe),))
    assert not source.rereadable
    writer = threading.Thread(target=pipe.write_bytes, args=(b'"one"\n"two"\n',))
    writer.start()
    assert [document.text for document in source] == ["one", "two"]
    writer.join()


@pytest.mark.parametrize(("inner", "end"), [("{},", "{}]"), ('"ab",', '"a"]')])
def test_json_of_many_tiny_values_takes_no_memory_beyond_its_bound(
    tmp_path, monkeypatch, inner, end
):
    monkeypatch.setattr(json_window, "PIECE", 2**16)
    most = 2**19
    crowded = '{"text": "x", "more": [' + inner * (most // len(inner) - 100) + end + "}"
    path = write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{crowded}\n{{"text": "b"}}\n')
    tracemalloc.start()
    try:
        found, bad = skipping(path, Fields(max_document_bytes=most))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == ["a", "b"]
    assert [one.cause.partition(":")[0] for one in bad] == [
        "it holds more than 32,768 values, one for every 16 bytes of max_document_bytes"
    ]
    assert peak < 9 * most


@quick
@given(json_values)
def test_values_are_counted_as_they_are_in_json(value):
    text = json.dumps(value)
    window = json_window.JsonWindow(io.BytesIO(text.encode()), Fields())
    window.peek()
    for most in {0, max(how_many(value) - 1, 0), how_many(value)}:
        window._most_values = most
        refused = False
        try:
            window._expect_few_values()
        except ValueError:
            refused = True
        assert refused == (how_many(value) > most)


def how_many(value):
    """Return how many values a container holds, itself, names and all; 0 for what is none."""
    if isinstance(value, dict):
        return 2 * len(value) + (not value) + sum(how_many(one) for one in value.values())
    if isinstance(value, list):
        return len(value) + (not value) + sum(map(how_many, value))
    return 0
