"""Parquet that stands for more than it should, and what is usual, which is read as ever."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.readers import parquet_pages
from producers.readers.parquet_pages import ROWS, rows_at_once
from streams.snapshots.parquet.page_headers import PageError
from tests.producers.readers.reading import skipping, texts

SMALL = 2**16
LONG = "x" * 20_000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "MOST_IN_MEMORY", SMALL)


def at_once(path: Path, *roots: str) -> int:
    with path.open("rb") as file:
        return rows_at_once(file, pq.ParquetFile(path).metadata, 0, roots)


def words(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return [f"{chance.random()} {n}" for n in range(count)]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_what_is_usual_is_decoded_as_ever(tmp_path: Path, codec: str, dictionary: bool):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": words(1000), "input_ids": [[1, 2, 3]] * 1000})
    pq.write_table(table, path, compression=codec, use_dictionary=dictionary)
    assert at_once(path, "text", "input_ids") == ROWS
    assert texts(path) == words(1000)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd"])
@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": True},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
    ],
)
@pytest.mark.usefixtures("little_memory")
def test_a_text_that_costs_its_bytes_once_is_decoded_for_few_rows(
    tmp_path: Path, codec: str, options: dict
):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [LONG] * 30}), path, compression=codec, **options)
    assert 1 <= at_once(path, "text") <= SMALL // len(LONG)
    assert texts(path) == [LONG] * 30


@pytest.mark.usefixtures("little_memory")
def test_a_page_that_stands_for_too_much_costs_its_rows_and_no_others(tmp_path: Path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["a", "b", "\0" * 2 * SMALL, "c", "d", "e"]})
    pq.write_table(table, path, row_group_size=2, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < SMALL // 16
    found, bad = skipping(path)
    assert found == ["a", "b", "d", "e"]
    assert [one.where for one in bad] == [f"{path} rows 3 to 4"]
    assert "bytes of memory, more than 65,536" in bad[0].cause


@pytest.mark.usefixtures("little_memory")
def test_small_pages_that_fall_into_one_piece_count_together(tmp_path: Path):
    path = tmp_path / "a.parquet"
    rows = [f"{n}" + "\0" * 9000 for n in range(40)]
    pq.write_table(
        pa.table({"text": rows}), path, compression="zstd", use_dictionary=False,
        data_page_size=1, write_batch_size=1,
    )  # fmt: skip
    assert at_once(path, "text") == 4  # a page each: eight of them are too much
    assert texts(path) == rows


@pytest.mark.usefixtures("little_memory")
def test_a_list_that_costs_a_few_bytes_is_refused(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"input_ids": [[0] * 200_000]}), path)
    with pytest.raises(PageError, match="it would take"):
        at_once(path, "input_ids")
    honest = [random.Random(n).choices(range(50_000), k=2000) for n in range(100)]
    pq.write_table(
        pa.table({"input_ids": honest}), path, use_dictionary=False, data_page_size=10_000
    )
    assert at_once(path, "input_ids") == ROWS


@pytest.mark.usefixtures("little_memory")
def test_columns_that_are_not_read_do_not_count(tmp_path: Path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["a", "b"], "other": ["\0" * 2 * SMALL] * 2})
    pq.write_table(table, path, compression="zstd")
    assert at_once(path, "text") == ROWS
    assert texts(path) == ["a", "b"]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40),
    st.sampled_from([1, 50, 10_000]),
    st.booleans(),
    st.integers(5, 12),
)
def test_no_piece_is_larger_than_memory_allows(
    tmp_path_factory: pytest.TempPathFactory, lengths, page, dictionary, bits
):
    path = tmp_path_factory.mktemp("p") / "a.parquet"
    rows = ["x" * length for length in lengths]
    pq.write_table(
        pa.table({"text": rows}), path, use_dictionary=dictionary, data_page_size=page,
        write_batch_size=1,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_pages, "MOST_IN_MEMORY", 2**bits)
        try:
            size = at_once(path, "text")
        except PageError:
            return
    for start in range(0, len(rows), size):
        assert sum(map(len, rows[start : start + size])) <= 2**bits
