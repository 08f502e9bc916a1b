import io
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.snapshots.parquet import page_headers
from streams.snapshots.parquet.page_headers import PageError
from streams.snapshots.parquet.pieces import ParquetEncoder
from streams.snapshots.parquet.reading import (
    BudgetedParquet,
    DecodeBudget,
    OtherColumnsError,
    decoded_limit,
)
from tests.streams.strategies import quick

SCHEMA = pa.schema(
    [("number", pa.int32()), ("text", pa.string()), ("many", pa.list_(pa.float32()))]
)


def table(rows, first=0):
    numbers = np.arange(first, first + rows)
    lists = [[float(n)] * (n % 4) for n in numbers]
    return pa.table([numbers, [f"row {n}" for n in numbers], lists], SCHEMA)


def written(*tables, schema=SCHEMA):
    encoder = ParquetEncoder(schema)
    return b"".join([*(encoder.add(each) for each in tables), encoder.end()])


def opened(data, rows, *, limit=None, schema=SCHEMA):
    budget = DecodeBudget(decoded_limit(len(data)) if limit is None else limit)
    return BudgetedParquet(
        io.BytesIO(data), size=len(data), rows=rows, budget=budget, schema=schema
    )


@quick
@given(sizes=st.lists(st.integers(0, 40), max_size=4))
def test_a_file_reads_as_it_was_written(sizes):
    tables = [table(size, 100 * at) for at, size in enumerate(sizes)]
    data, whole = written(*tables), pa.concat_tables([SCHEMA.empty_table(), *tables])
    assert opened(data, len(whole)).table().equals(whole)
    assert pa.Table.from_batches(opened(data, len(whole)).pieces(7), SCHEMA).equals(whole)
    assert opened(data, len(whole)).table(["text"]).equals(whole.select(["text"]))


CONDITIONS = st.lists(
    st.tuples(
        st.just("number"),
        st.sampled_from(["==", "=", "<", "<=", ">", ">="]),
        st.integers(-2, 45),
    )
    | st.tuples(
        st.just("text"), st.just("in"), st.lists(st.sampled_from(["row 3", "x"]), min_size=1)
    ),
    min_size=1,
    max_size=3,
)


@quick
@given(filters=CONDITIONS | st.lists(CONDITIONS, min_size=1, max_size=3))
def test_filters_find_what_pyarrow_finds(filters):
    data = written(*(table(10, first) for first in (0, 10, 20, 30)))
    found = opened(data, 40).table(["text"], filters)
    expected = pq.read_table(io.BytesIO(data), columns=["text"], filters=filters)
    assert found.to_pylist() == expected.to_pylist()


def test_only_groups_that_can_match_are_decoded(monkeypatch):
    data = written(*(table(10, first) for first in (0, 10, 20, 30)))
    file, read = opened(data, 40), []
    usual = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, group, **named: read.append(group) or usual(self, group, **named),
    )
    assert len(file.table(filters=[("number", "==", 25)])) == 1
    assert read == [2]


def test_other_columns_or_rows_are_refused():
    data = written(table(3))
    other = SCHEMA.set(0, pa.field("number", pa.int64()))
    with pytest.raises(OtherColumnsError):
        opened(data, 3, schema=other)
    with pytest.raises(PageError, match="has 3 rows where 4 are promised"):
        opened(data, 4)


def test_the_cost_is_no_less_than_what_is_decoded():
    repeated = pa.table(
        [np.zeros(4000, np.int32), ["long " * 40] * 4000, [[1.0] * 30] * 4000], SCHEMA
    )
    for each in (repeated, table(4000)):
        data = written(each)
        needed = each.nbytes
        with pytest.raises(PageError, match="it would take more than"):
            opened(data, 4000, limit=needed - 1).table()
        assert opened(data, 4000, limit=3 * needed).table().equals(each)


def test_readers_of_one_file_share_its_budget():
    data = written(table(4000))
    opened(data, 4000, limit=400_000).table()
    budget = DecodeBudget(400_000)
    readers = [
        BudgetedParquet(io.BytesIO(data), size=len(data), rows=4000, budget=budget, schema=SCHEMA)
        for _ in range(2)
    ]
    readers[0].table(SCHEMA.names)
    with pytest.raises(PageError, match="it would take more than 400,000 bytes"):
        list(readers[1].pieces(100, SCHEMA.names))


def test_the_budget_is_for_all_groups_together_and_each_is_paid_for_once():
    data = written(*(table(1000, first) for first in (0, 1000, 2000)))
    file = opened(data, 3000, limit=150_000)
    for _ in range(5):
        assert len(file.table(filters=[("number", "<", 1000)])) == 1000
    with pytest.raises(PageError, match="it would take more than 150,000 bytes"):
        list(file.pieces(100))


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_encodings_that_make_long_texts_of_few_bytes_are_refused(encoding):
    sink = io.BytesIO()
    texts = pa.table([pa.array(["a" * n for n in range(500)])], ["text"])
    pq.write_table(texts, sink, use_dictionary=False, column_encoding={"text": encoding})
    with pytest.raises(PageError, match="in an encoding that is not used here"):
        opened(sink.getvalue(), 500, schema=texts.schema).table()


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none"},
        {"compression": "zstd"},
        {"data_page_version": "2.0"},
        {"use_dictionary": False},
        {"data_page_size": 100, "row_group_size": 70},
    ],
    ids=str,
)
def test_files_of_other_writers_can_be_read_too(options):
    sink = io.BytesIO()
    pq.write_table(table(300), sink, **options)
    assert opened(sink.getvalue(), 300).table().equals(table(300))


def _varint(number):
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


def test_a_page_that_says_more_than_the_footer_is_refused_before_it_is_decoded(monkeypatch):
    """One page of 2**30 zeros where the footer speaks of three values."""
    schema = pa.schema([("number", pa.int32())])
    data = written(pa.table([[7, 7, 7]], schema), schema=schema)
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    start, length = column.dictionary_page_offset, column.total_compressed_size
    *_, page = page_headers.pages(io.BytesIO(data), start, length)
    head = data[: page.at].rindex(b"\x15" + _varint(2 * 3) + b"\x15\x10")
    forged = bytearray(data)
    forged[head + 1] = 2 * 60
    with pytest.raises(PageError, match="its footer and its pages disagree"):
        opened(bytes(forged), 3, schema=schema).table()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1" + struct.pack("<I", 2**31) + b"PAR1",
        b"PAR1" + bytes(100) + struct.pack("<I", 100) + b"PAR1",
        b"PAR1" + b"\x29\xfc\xff\xff\xff\xff\x07" + struct.pack("<I", 7) + b"PAR1",
        b"PAR1" + b"\x19" * 5000 + struct.pack("<I", 5000) + b"PAR1",
    ],
    ids=range(7),
)
def test_broken_footers_are_refused(data):
    with pytest.raises((PageError, OSError)):
        opened(data, 0)


@quick
@given(place=st.floats(0, 1, exclude_max=True), bytes_=st.binary(min_size=1, max_size=4))
def test_any_changed_bytes_give_the_rows_or_an_error(place, bytes_):
    data = bytearray(written(table(20), table(20, 20)))
    at = int(place * len(data))
    data[at : at + len(bytes_)] = bytes_
    for read in (lambda file: file.table(), lambda file: list(file.pieces(8))):
        try:
            read(opened(bytes(data), 40))
        except (OSError, ValueError, pa.ArrowException):
            continue


@given(st.binary(max_size=60))
def test_any_bytes_are_pages_or_an_error(data):
    try:
        list(page_headers.pages(io.BytesIO(data), 0, len(data)))
    except PageError:
        return


def test_the_longest_entry_of_a_dictionary_is_found():
    body = b"".join(struct.pack("<I", len(text)) + text for text in (b"a", b"", b"four", b"to"))
    assert page_headers.longest_entry(body) == 4
    assert page_headers.longest_entry(b"") == 0
    for cut in (1, 3, len(body) - 1):
        with pytest.raises(PageError, match="cut short"):
            page_headers.longest_entry(body[:cut])
