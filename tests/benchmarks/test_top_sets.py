"""Agreement of two snapshots' top samples."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.top_sets import agreement
from streams.snapshots.store import open_store, write_part
from streams.snapshots.tables import HITS
from tests import factories

samples = st.integers(0, 6)
hits = st.sets(st.tuples(st.integers(0, 4), samples), max_size=20)


def snapshot(store, name, found):
    """Return the manifest of a snapshot with hits (cluster, sample number)."""
    rows = [
        {
            **{field.name: None for field in HITS.schema},
            "cluster": cluster,
            "sample": number.to_bytes(16, "big"),
        }
        for cluster, number in sorted(found)
    ]
    table = pa.Table.from_pylist(rows, HITS.schema)
    part = write_part(open_store(store), name, "hits", 0, table)
    return factories.run_manifest(run=name, store=store, files=(part,))


@given(first=hits, second=hits)
def test_agreement_is_that_of_the_sets(first, second, tmp_path_factory):
    store = str(tmp_path_factory.mktemp("store"))
    found = agreement(snapshot(store, "one", first), snapshot(store, "other", second))
    fired = sorted({cluster for cluster, _ in first | second})
    same = [
        {s for c, s in first if c == cluster} == {s for c, s in second if c == cluster}
        for cluster in fired
    ]
    assert found.sets == pytest.approx(np.mean(same) if fired else 1.0)
    places = len(first) + len(second)
    assert found.samples == pytest.approx(2 * len(first & second) / places if places else 1.0)
