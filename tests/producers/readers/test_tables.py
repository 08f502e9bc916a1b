import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.documents import Document
from producers.fields import Fields
from streams.errors import CorpusError
from tests.producers.readers.reading import read, skipping, texts, write

TABLE = pa.table({"text": ["a", "b"], "kind": ["x", "y"]})


def test_csv_has_a_document_per_row(tmp_path):
    path = write(tmp_path / "a.csv", 'kind,text\nx,"a\n, b"\n\ny,c\n')
    fields = Fields(domain="kind")
    assert read(path, fields) == [Document("a.csv:1", "x", "a\n, b"), Document("a.csv:2", "y", "c")]
    assert texts(write(tmp_path / "b.tsv", "kind\ttext\nx\ta, b\n")) == ["a, b"]
    assert texts(write(tmp_path / "c.csv", "kind;text\nx;a\n")) == ["a"]
    with pytest.raises(CorpusError, match=r"no column 'text': name one of kind, body as the field"):
        read(write(tmp_path / "d.csv", "kind,body\nx,a\n"))


def test_broken_rows_of_a_csv_cost_no_other(tmp_path):
    data = b'text,kind\na,x\n"b,x\nc,x\nd,x,y\n\xff,x\ne,x\n'
    found, bad = skipping(write(tmp_path / "a.csv", data))
    assert found == ["a", "c", "e"]
    assert [one.cause for one in bad] == [
        "a quote in it is not closed",
        "it has 3 fields where the first line has 2",
        "it holds half a surrogate pair at character 0",
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv", "a", "a.parquet.gz"])
def test_parquet_is_told_by_its_bytes(tmp_path, name):
    pq.write_table(TABLE, tmp_path / "plain")
    data = (tmp_path / "plain").read_bytes()
    path = write(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data)
    assert texts(path) == ["a", "b"]


@pytest.mark.parametrize("data", ["text,kind\na,x\nb,y\n", '{"text": "a"}\n{"text": "b"}\n'])
@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.json", "a.jsonl", "a.arrow"])
def test_records_in_text_are_read_whichever_records_the_suffix_promises(tmp_path, name, data):
    assert texts(write(tmp_path / name, data)) == ["a", "b"]


def test_plain_text_stays_text_whatever_it_looks_like(tmp_path):
    assert texts(write(tmp_path / "a.txt", "text,kind\na,x\n")) == ["text,kind\na,x\n"]
    assert texts(write(tmp_path / "a.py", '{"text": 1}')) == ['{"text": 1}']


def test_arrow_files_and_streams_are_read(tmp_path):
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), TABLE.schema) as file:
        file.write_table(TABLE)
    with pa.ipc.new_stream(str(tmp_path / "b.arrow"), TABLE.schema) as stream:
        stream.write_table(TABLE)
    fields = Fields(domain="kind")
    assert read(tmp_path / "a.arrow", fields) == [
        Document("a.arrow:1", "x", "a"),
        Document("a.arrow:2", "y", "b"),
    ]
    assert texts(tmp_path / "b.arrow") == ["a", "b"]


def test_a_damaged_group_of_rows_costs_no_other(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {n}" for n in range(30)]})
    pq.write_table(table, path, row_group_size=10, compression="gzip", use_dictionary=False)
    where = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[where : where + 30] = b"\xff" * 30
    path.write_bytes(data)
    found, bad = skipping(path)
    assert found == [f"text {n}" for n in (*range(10), *range(20, 30))]
    assert [one.where for one in bad] == [f"{path} rows 11 to 20"]


def test_a_row_whose_bytes_are_no_text_costs_no_other(tmp_path):
    column = pa.array([b"a", b"\xff", b"c"], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    found, bad = skipping(tmp_path / "a.parquet")
    assert found == ["a", "c"]
    assert [one.cause for one in bad] == ["it is not UTF-8 (byte 0xff)"]


def test_token_ids_come_from_columns_and_arrays(tmp_path):
    rows = [[5, 6, 7], [8, 9, 1]]
    pq.write_table(pa.table({"input_ids": rows}), tmp_path / "a.parquet")
    np.save(tmp_path / "b.npy", np.array(rows, np.uint16))
    np.save(tmp_path / "c.npy", np.array(rows[0]))
    np.array(rows[1], "<u2").tofile(tmp_path / "d.bin")
    write(tmp_path / "e.jsonl", '{"tokens": [5, 6, 7]}\n[8, 9, 1]\n')
    write(tmp_path / "f.json", "[[5, 6, 7], [8, 9, 1]]")
    fields = Fields(tokens_dtype="uint16")
    found = {
        path.name: [d.tokens.tolist() for d in read(path, fields) if d.tokens is not None]
        for path in sorted(tmp_path.iterdir())
    }
    assert found == {
        "a.parquet": rows,
        "b.npy": rows,
        "c.npy": [rows[0]],
        "d.bin": [rows[1]],
        "e.jsonl": rows,
        "f.json": rows,
    }
    with pytest.raises(CorpusError, match="set tokens_dtype to one of uint8"):
        read(tmp_path / "d.bin")


def test_what_is_no_row_of_token_ids_is_named(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    np.save(tmp_path / "b.npy", np.array([[1, 2], [-1, 2]]))
    write(tmp_path / "c.bin", b"abc")
    found, bad = skipping(tmp_path, Fields(tokens_dtype="uint16"))
    assert len(found) == 2
    assert [one.cause for one in bad] == [
        "it holds float64 of shape 3, no rows of token ids",
        "it holds a negative token id",
        "its 3 bytes are no whole number of uint16",
    ]
