"""Reading a snapshot into memory, checked."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.dashboard.data import Clustering, Snapshot
from streams.errors import SnapshotError
from streams.snapshot import TABLES, RunManifest
from streams.store import read_table

_ABOUT = ("model", "corpus", "context", "criteria", "k", "edges", "sum_bits", "clusterings")
_KEPT = ("clusters", "components", "totals", "vocabulary")


def open_snapshot(manifest: RunManifest) -> Snapshot:
    """Read what pages need and compare every file with its checksum, once.

    Raises SnapshotError if the snapshot is damaged or incomplete.
    """
    missing = [key for key in _ABOUT if key not in manifest.about]
    if missing:
        raise SnapshotError(f"the manifest of {manifest.snapshot!r} lacks about.{missing[0]}")
    tables = {name: _read(manifest, name) for name in _KEPT}
    for name in TABLES.keys() - tables.keys():
        read_table(manifest, name, columns=[TABLES[name].names[0]], check=True)
    try:
        return _build(manifest, tables)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise SnapshotError(f"snapshot {manifest.snapshot!r} is inconsistent: {error}") from error


def _read(manifest: RunManifest, name: str) -> pa.Table:
    table = read_table(manifest, name, check=True)
    if not table.schema.equals(TABLES[name]):
        raise SnapshotError(f"the table {name!r} of {manifest.snapshot!r} has other columns")
    return table.combine_chunks()


def _build(manifest: RunManifest, tables: dict[str, pa.Table]) -> Snapshot:
    clusters = tables["clusters"].sort_by("cluster").combine_chunks()
    count = len(clusters)
    if not np.array_equal(clusters["cluster"].to_numpy(), np.arange(count)):
        raise ValueError("its clusters are not numbered 0, 1, 2, ...")
    if len(tables["totals"]) != 1:
        raise ValueError(f"it has {len(tables['totals'])} rows of totals")
    column: dict[str, Any] = {n: clusters[n].combine_chunks() for n in clusters.column_names}
    members = column["members"]
    names = members.flatten().dictionary_encode()
    totals = tables["totals"].to_pylist()[0]
    numbers = {
        key: column[key].to_numpy(zero_copy_only=False)
        for key in ("firing_tokens", "firing_rows", "low", "high")
    }
    flags = {
        key: column[key].to_numpy(zero_copy_only=False)
        for key in ("pairs_counted", "coactivation_counted")
    }
    bins = len(manifest.about["edges"]) + 1
    return Snapshot(
        manifest=manifest,
        clusterings=tuple(_clusterings(clusters)),
        labels=column["label"],
        dropped=column["dropped"],
        sums=column["sum"].to_numpy(),
        histogram=column["histogram"].flatten().to_numpy().reshape(count, bins),
        member_first=np.r_[0, np.cumsum(pc.list_value_length(members).to_numpy())],
        member=names.indices.to_numpy().astype(np.int64),
        member_names=names.dictionary.to_pylist(),
        components=tables["components"],
        tokens=totals["tokens"],
        rows=totals["rows"],
        refused=totals["refused"],
        vocabulary=dict(_vocabulary(tables["vocabulary"])),
        **numbers,
        **flags,
    )


def _vocabulary(table: Any) -> Iterator[tuple[int, bytes]]:
    return zip(table["id"].to_pylist(), table["token"].to_pylist(), strict=True)


def _clusterings(clusters: pa.Table) -> Iterator[Clustering]:
    """Yield each clustering with its range of clusters, which lie together."""
    keys = clusters.select(["clustering", "iteration"])
    for group in (
        keys.append_column("at", pa.array(range(len(keys))))
        .group_by(["clustering", "iteration"], use_threads=False)
        .aggregate([("at", "min"), ("at", "max")])
        .to_pylist()
    ):
        yield Clustering(
            group["clustering"], group["iteration"], group["at_min"], group["at_max"] + 1
        )
