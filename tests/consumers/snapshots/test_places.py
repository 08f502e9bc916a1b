import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.snapshots.places import PLACE, distinct_places, merged_places
from streams.errors import SnapshotError
from streams.snapshots.tables import HITS
from tests.streams.strategies import quick

SCHEMA = pa.schema([HITS.schema.field(name) for name in PLACE])
places = st.tuples(
    st.integers(0, 3), st.sampled_from([0, 1, 7, 2**32 - 1]), st.sampled_from([0, 5, 2**31 - 1])
)


def piece(found):
    return pa.RecordBatch.from_pylist(
        [dict(zip(PLACE, place, strict=True)) for place in found], schema=SCHEMA
    )


@quick
@given(st.lists(st.lists(places, max_size=6), max_size=6))
def test_places_are_those_of_all_pieces_each_once_in_order(pieces):
    found = distinct_places(map(piece, pieces))
    expected = sorted({place for each in pieces for place in each})
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected
    parts = [distinct_places([piece(each)]) for each in pieces]
    for column, merged in zip(found, merged_places(parts), strict=True):
        assert column.tolist() == merged.tolist()


@pytest.mark.parametrize("far", [(0, 2**32, 0), (0, 2**62, 0), (0, -1, 0), (0, 0, -1)])
def test_places_that_no_log_could_hold_are_an_error(far):
    with pytest.raises(SnapshotError, match="in a partition, which no log could hold"):
        distinct_places([piece([(0, 0, 0), far])])


def test_no_more_is_held_than_the_places_themselves():
    """A row group after the other names the same places: what is held does not grow with them."""
    random = np.random.default_rng(0)
    rows = {n: random.integers(0, 4, 1000).astype("i4") for n in PLACE}
    rows["sequence"] = rows["sequence"].astype("i8")
    same = pa.RecordBatch.from_pydict(rows, schema=SCHEMA)
    partition, _, _ = distinct_places(same for _ in range(300))
    assert len(partition) == 4**3
