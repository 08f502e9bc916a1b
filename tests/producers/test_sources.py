import bz2
import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from producers.documents import BadDocument, Document, RefusedDocuments
from producers.fields import Fields
from producers.sources import TextSource
from streams.errors import CorpusError, SettingsError

FIELDS = Fields(text="body", id="name", domain="kind")


def read(*places: object, fields: Fields | None = None, **options: object) -> list[Document]:
    return list(TextSource(tuple(map(str, places)), fields=fields or Fields(), **options))  # type: ignore[arg-type]


def write(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_folder_is_read_in_sorted_order_and_ids_are_relative(tmp_path):
    write(tmp_path / "b.txt", "bee\r\n")
    write(tmp_path / "a" / "z.py", "print()")
    write(tmp_path / "a" / "c.jsonl", '{"text": "one"}\n\n{"text": "two"}\n')
    write(tmp_path / ".hidden", b"\xff")
    write(tmp_path / "__pycache__" / "x.pyc", b"\xff")
    assert read(tmp_path) == [
        Document("a/c.jsonl:1", "", "one"),
        Document("a/c.jsonl:3", "", "two"),
        Document("a/z.py", "", "print()"),
        Document("b.txt", "", "bee\r\n"),
    ]


def test_several_places_keep_their_names_apart(tmp_path):
    write(tmp_path / "one" / "x.txt", "1")
    write(tmp_path / "two" / "x.txt", "2")
    found = read(tmp_path / "two", tmp_path / "one")
    assert [document.id for document in found] == ["two/x.txt", "one/x.txt"]


def test_named_fields_hold_text_id_and_domain(tmp_path):
    record = {"body": "hello", "name": 7, "kind": "greeting", "more": 1}
    expected = [Document("7", "greeting", "hello")]
    assert read(write(tmp_path / "a.jsonl", json.dumps(record)), fields=FIELDS) == expected
    assert read(write(tmp_path / "a.json", json.dumps([record])), fields=FIELDS) == expected
    assert read(write(tmp_path / "b.json", json.dumps(record)), fields=FIELDS) == expected
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", fields=FIELDS) == expected


def test_json_may_be_an_array_of_strings(tmp_path):
    assert read(write(tmp_path / "a.json", ' ["x", "y"] ')) == [
        Document("a.json:1", "", "x"),
        Document("a.json:2", "", "y"),
    ]
    assert read(write(tmp_path / "b.json", '"x"')) == [Document("b.json", "", "x")]
    assert read(write(tmp_path / "c.json", "[]")) == []


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_compressed_files_are_unpacked(tmp_path, suffix):
    data = b'{"text": "packed"}\n'
    path = tmp_path / f"a.jsonl{suffix}"
    if suffix == ".zst":
        with pa.CompressedOutputStream(path, "zstd") as file:
            file.write(data)
    else:
        write(path, gzip.compress(data) if suffix == ".gz" else bz2.compress(data))
    assert read(path) == [Document(f"a.jsonl{suffix}:1", "", "packed")]


def test_standard_input_is_read_once(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(b'"one"\n"two"\n'))
    monkeypatch.setattr(sys, "stdin", stream)
    source = TextSource(("-",), format="jsonl")
    assert not source.rereadable
    assert [document.id for document in source] == ["stdin:1", "stdin:2"]


def test_the_format_can_be_forced(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x"}')
    assert read(path, format="text") == [Document("a.jsonl", "", '{"text": "x"}')]
    with pytest.raises(SettingsError, match="format 'xml' is none of parquet, arrow"):
        TextSource((str(path),), format="xml")


BROKEN = {
    "latin.txt": (b"fine\n\xe9t\xe9", "line 2: it is not UTF-8 (byte 0xe9)"),
    "cut.jsonl": (b'{"text": "a"}\n{"text": ', "line 2: it is no valid JSON"),
    "bytes.jsonl": (b'{"text": "a"}\n{"text": "\xff"}', "line 2: it is not UTF-8"),
    "null.jsonl": (b'{"text": null}', "line 1: field 'text' holds null where text should be"),
    "other.jsonl": (b'{"body": "a"}', "line 1: it has no field 'text' (it has: body)"),
    "number.jsonl": (b"12", "line 1: it holds a int"),
    "half.jsonl": (b'{"text": "\\ud800"}', "line 1: it holds half a surrogate pair"),
    "cut.json": (b'["a",\n "b"', "line 2: it is no valid JSON"),
    "bad.json": (b'["a",\n\n nope]', "line 3: it is no valid JSON"),
    "more.json": (b'["a"]\n]', "line 2: it is no valid JSON"),
    "bytes.json": (b'["a",\n"\xff"]', "line 2: it is not UTF-8"),
    "deep.json": (b"[" * 200_000, "line 1: its JSON is nested too deeply"),
    "cut.txt.gz": (gzip.compress(b"hello hello hello")[:-9], "it cannot be read"),
    "cut.txt.zst": (zstandard.compress(b"hello" * 99)[:-5] + b"!", "it cannot be read"),
    "other.txt.zip": (b"PK\x03\x04 and so on", "it is a zip archive: unpack it"),
    "broken.parquet": (b"PAR1 this is none", "it is no readable Parquet"),
    "empty.parquet": (b"", "it is no readable Parquet"),
    "broken.npy": (b"\x93NUMPY\x01\x00", "it is no readable array"),
    "broken.arrow": (b"ARROW1\0\0 this is none", "it is no readable Arrow file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path, name):
    data, said = BROKEN[name]
    path = write(tmp_path / name, data)
    with pytest.raises(CorpusError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert said in text
    assert "--skip-bad" in text
    assert "\n" not in text


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_counted_and_handed_on_if_asked(tmp_path, name):
    write(tmp_path / name, BROKEN[name][0])
    write(tmp_path / "zzz.txt", "good")
    bad: list[BadDocument] = []
    refusals = RefusedDocuments(skip=True, on_bad=bad.append)
    found = read(tmp_path, refusals=refusals)
    assert found[-1] == Document("zzz.txt", "", "good")
    assert refusals.count == len(bad) == 1
    assert name in bad[0].where
    assert bad[0].cause


def test_good_lines_around_a_broken_one_are_kept(tmp_path):
    bad: list[BadDocument] = []
    path = write(tmp_path / "a.jsonl", b'"a"\n\xff\n"c"\n')
    found = read(path, refusals=RefusedDocuments(True, bad.append))
    assert [document.id for document in found] == ["a.jsonl:1", "a.jsonl:3"]
    assert bad == [BadDocument(f"{path} line 2", "it is not UTF-8 (byte 0xff)", b"\xff\n")]


def test_a_missing_place_and_a_missing_column_are_named_even_when_skipping(tmp_path):
    with pytest.raises(CorpusError, match="there is no file or folder"):
        read(tmp_path / "nowhere", refusals=RefusedDocuments(skip=True))
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match="no column 'text': name one of body"):
        read(tmp_path / "a.parquet", refusals=RefusedDocuments(skip=True))


def test_a_parquet_row_without_text_is_bad_and_others_are_kept(tmp_path):
    pq.write_table(pa.table({"text": ["x", None, "z"]}), tmp_path / "a.parquet")
    refusals = RefusedDocuments(skip=True)
    found = read(tmp_path / "a.parquet", refusals=refusals)
    assert [document.text for document in found] == ["x", "z"]
    assert refusals.count == 1


def test_the_text_of_this_python_is_the_same_each_time_and_tagged():
    source = iter(TextSource(("python:",)))
    first = [next(source) for _ in range(5)]
    assert first == [d for d, _ in zip(TextSource(("python:",)), range(5), strict=False)]
    assert {d.domain for d in first} <= {"source", "docs"}
    assert all(len(d.text) >= 200 for d in first)
