from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.content import canonical
from streams.errors import SnapshotError
from streams.merged import merged_samples
from streams.snapshot import SAMPLES
from tests.streams.strategies import quick

Place = tuple[int, int, int]
places = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2))
files = st.lists(st.sets(places).map(sorted), max_size=4)


def samples(found: list[Place]) -> pa.Table:
    """Return a sample for each place, told by its ids."""
    rows = [
        {"partition": p, "sequence": s, "row": r, "sample": bytes(16), "document": f"{p}-{s}",
         "domain": "", "ids": [p, r][: 1 + r]}
        for p, s, r in found
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def pieces(found: list[Place], size: int) -> Iterator[pa.RecordBatch]:
    yield from samples(found).to_batches(max_chunksize=size)


@quick
@given(files, st.integers(1, 5))
def test_merging_pieces_is_sorting_all_and_keeping_each_place_once(found, size):
    merged = list(merged_samples([pieces(each, size) for each in found]))
    whole = pa.concat_tables([SAMPLES.empty_table(), *map(samples, found)])
    expected = canonical("samples", whole).to_pylist()
    assert pa.concat_tables([SAMPLES.empty_table(), *merged]).to_pylist() == expected


def test_no_more_than_a_piece_of_each_file_is_asked_for_at_once():
    asked = []

    def counted(number: int) -> Iterator[pa.RecordBatch]:
        for at, piece in enumerate(pieces([(0, 0, row) for row in range(number, 40, 2)], 2)):
            asked.append((number, at))
            yield piece

    given_out = 0
    for piece in merged_samples([counted(0), counted(1)]):
        given_out += len(piece)
        assert 2 * len(asked) - given_out <= 2 * 2 * 2
    assert given_out == 40


@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize("which", [[(0, 1, 0), (0, 0, 5)], [(1, 0, 0), (1, 0, 0)]])
def test_a_file_in_another_order_is_refused(which, size):
    with pytest.raises(SnapshotError, match="not in the order of their places"):
        list(merged_samples([pieces(which, size), pieces([(0, 0, 0)], size)]))


def test_places_are_compared_as_the_numbers_they_are():
    far = [(0, 2**40, 7), (0, 2**40 + 1, 0), (1, 0, 0)]
    merged = pa.concat_tables(list(merged_samples([pieces(far, 1), pieces(far[1:], 3)])))
    columns = [merged[name].to_pylist() for name in ("partition", "sequence", "row")]
    assert list(zip(*columns, strict=True)) == far
    assert np.all(np.diff(merged["partition"].to_numpy()) >= 0)
