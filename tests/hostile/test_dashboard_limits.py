"""What fits the budget of reading and is still too much for pages."""

import numpy as np
import pyarrow as pa
import pytest

from downstream.rendering.opening import open_snapshot
from streams.bounds import MAX_VOCABULARY
from streams.errors import SnapshotError
from streams.snapshots.store import read_manifest
from streams.snapshots.tables import TABLES
from tests.hostile.bombs import one_cluster, parquet, snapshot_with


def test_a_vocabulary_larger_than_any(tmp_path):
    rows = MAX_VOCABULARY + 1
    token = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, np.int32)), pa.array([b"x"], pa.binary())
    )
    table = pa.table({"id": pa.array(np.arange(rows), pa.int32()), "token": token})
    data = parquet(table, store_schema=False)
    manifest = snapshot_with(tmp_path, "vocabulary", data, rows)
    with pytest.raises(SnapshotError, match="'vocabulary' of 'final' claims 4,194,305 rows"):
        open_snapshot(read_manifest(str(manifest)))


def test_more_clusterings_than_any_run_has(tmp_path):
    rows = 3000
    one = one_cluster(66)
    many = pa.concat_tables([one] * rows).combine_chunks()
    many = many.set_column(0, one.schema.field(0), pa.array(np.arange(rows), pa.int32()))
    at = one.schema.names.index("clustering")
    names = pa.array([f"c{number}" for number in range(rows)])
    many = many.set_column(at, one.schema.field(at), names).cast(TABLES["clusters"].schema)
    manifest = snapshot_with(tmp_path, "clusters", parquet(many), rows)
    with pytest.raises(SnapshotError, match="it has 3,000 clusterings"):
        open_snapshot(read_manifest(str(manifest)))
