"""Small files that stand for gigabytes, and snapshots with such a file in them."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streams.snapshots.tables import TABLES
from tests.downstream.dashboard.snapshot_files import small, write_snapshot

GIGABYTE = 2**30


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Return a table as the bytes of a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


def _repeated(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    """Return a column of equal values, which a file holds once."""
    entry = pa.array([value], kind)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), entry)


def long_texts() -> tuple[str, bytes, int]:
    """Return 20,000 tokens of 2 MB each: 40 GB."""
    rows = 20_000
    ids = pa.array(np.arange(rows), pa.int32())
    token = _repeated(b"x" * 2_000_000, pa.binary(), rows)
    table = pa.table({"id": ids, "token": token, "first": token, "last": token, "alone": token})
    return "vocabulary", parquet(table, store_schema=False, dictionary_pagesize_limit=2**30), rows


def many_texts() -> tuple[str, bytes, int]:
    """Return 4 million tokens of 3 kB each, with a dictionary of the usual size: 12 GB."""
    rows = 4_000_000
    token = _repeated(b"x" * 3000, pa.binary(), rows)
    ids = pa.array(np.zeros(rows), pa.int32())
    table = pa.table({"id": ids, "token": token, "first": token, "last": token, "alone": token})
    return "vocabulary", parquet(table, store_schema=False), rows


def many_rows() -> tuple[str, bytes, int]:
    """Return 60 million equal rows: 2 GB."""
    rows = 60_000_000
    equal = pa.array(np.zeros(rows, np.int64))
    names = TABLES["totals"].schema.names
    return "totals", parquet(pa.table([equal] * len(names), TABLES["totals"].schema)), rows


def long_lists() -> tuple[str, bytes, int]:
    """Return one cluster whose histogram has 60 million bins: 0.5 GB, and half of it beside it."""
    bins = 60_000_000
    return "clusters", parquet(one_cluster(bins), row_group_size=1), 1


def one_cluster(bins: int) -> pa.Table:
    """Return the table of one cluster with so many bins of 0."""
    histogram = pa.ListArray.from_arrays(
        pa.array([0, bins], pa.int32()), pa.array(np.zeros(bins, np.int64))
    )
    schema = TABLES["clusters"].schema
    columns = [
        histogram if field.type == histogram.type else pa.array([_nothing(field.type)], field.type)
        for field in schema
    ]
    return pa.table(columns, schema)


def _nothing(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else False if pa.types.is_boolean(kind) else 0


BOMBS: dict[str, Callable[[], tuple[str, bytes, int]]] = {
    "long texts": long_texts,
    "many texts": many_texts,
    "many rows": many_rows,
    "long lists": long_lists,
}


def snapshot_with(folder: Path, table: str, data: bytes, rows: int) -> Path:
    """Write a small snapshot, put ``data`` in the place of a table's file; return its manifest.

    Sizes and checksums are right: whoever wrote the file wrote the manifest, too.
    """
    written = write_snapshot(str(folder), small(), shards=1)
    digest = hashlib.sha256(data).hexdigest()
    path = f"parts/{table}-0000-{digest[:16]}.parquet"
    (folder / written.run / path).write_bytes(data)
    manifest = folder / written.run / written.snapshot / "manifest.json"
    found = json.loads(manifest.read_text())
    for entry in found["tables"]:
        if entry["name"] == table:
            entry["rows"] = rows
    for part in found["files"]:
        if part["table"] == table:
            part.update(path=path, rows=rows, bytes=len(data), sha256=digest)
    manifest.write_text(json.dumps(found))
    return manifest
