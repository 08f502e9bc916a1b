"""Reading a snapshot into memory, checked."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.example_index import read_example_index
from downstream.rendering.row_groups import read_row_groups
from downstream.rendering.stored_text import read_stored_text
from streams.arrays import I64, AnyArray
from streams.bounds import MAX_CLUSTERS, MAX_VOCABULARY
from streams.errors import SnapshotError
from streams.snapshots.about import ranking_names
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import expected_schema, read_table
from streams.snapshots.tables import TABLES

log = logging.getLogger(__name__)

_ABOUT = ("model", "corpus", "context", "k", "edges", "sum_bits", "clusterings")
_NUMBERS = (
    "firing_tokens",
    "firing_rows",
    "activation_density",
    "mean_activation",
    "min_activation",
    "max_activation",
    "member_coactivation_counted",
    "coactivation_counted",
)
_MOST_ROWS = {
    "clusters": MAX_CLUSTERS,
    "features": MAX_CLUSTERS,
    "totals": 1,
    "vocabulary": MAX_VOCABULARY,
}
_OPTIONAL = ("features", "coactivation", "member_coactivation")
_NEEDED_COLUMNS = {
    "clusters": (
        "cluster",
        "clustering",
        "iteration",
        "label",
        "members",
        "firing_tokens",
        "firing_rows",
        "activation_density",
        "max_activation",
    ),
    "features": ("source", "index"),
    "totals": ("tokens", "rows"),
    "vocabulary": ("id", "token"),
}
OPTIONAL_COLUMNS = {
    "clusters": (
        "dropped_members",
        "mean_activation",
        "min_activation",
        "activation_histogram",
        "coactivation_counted",
        "member_coactivation_counted",
    ),
    "features": ("firing_tokens", "dead", "dropped"),
    "totals": ("refused",),
    "vocabulary": ("first", "last", "alone"),
}
_READ_WHOLE = ("hits", "samples", "member_coactivation")
_MOST_CLUSTERINGS = 2048


def open_snapshot(manifest: RunManifest) -> LoadedSnapshot:
    """Read what pages need and compare every file with its checksum, once.

    Tables and columns that pages can do without may be missing: ``absent`` names them. Raises
    SnapshotError if the snapshot is damaged or lacks anything else.
    """
    missing = [key for key in _ABOUT if key not in manifest.about]
    missing += [] if ranking_names(manifest.about) else ["rankings"]
    if missing:
        raise SnapshotError(f"the manifest of {manifest.snapshot!r} lacks about.{missing[0]}")
    absent = tuple(name for name in _OPTIONAL if manifest.table(name) is None)
    tables: dict[str, pa.Table] = {}
    for name in _MOST_ROWS:
        if name in absent:
            tables[name] = TABLES[name].schema.empty_table()
        else:
            columns = _columns_of(manifest, name)
            absent += tuple(f"{name}.{c}" for c in OPTIONAL_COLUMNS[name] if c not in columns)
            tables[name] = _read(manifest, name, columns)
    if absent:
        log.warning("snapshot %s lacks %s", manifest.snapshot, ", ".join(absent))
    for entry in manifest.tables:
        if entry.name not in (*tables, *_READ_WHOLE):
            read_table(manifest, entry.name, columns=entry.schema.names[:1], check=True)
    try:
        found = _build(manifest, tables, absent)
        pa.default_memory_pool().release_unused()
        return found
    except (ValueError, TypeError, IndexError, pa.ArrowException) as error:
        raise SnapshotError(f"snapshot {manifest.snapshot!r} is inconsistent: {error}") from error


def _columns_of(manifest: RunManifest, name: str) -> list[str]:
    """Return the columns of a table that pages read, as many as are there.

    Raises SnapshotError if a needed one is missing, or one has another type than it should have.
    """
    there = expected_schema(manifest, name)
    if lacking := [column for column in _NEEDED_COLUMNS[name] if column not in there.names]:
        raise SnapshotError(
            f"the table {name!r} of {manifest.snapshot!r} has no column {lacking[0]!r}"
        )
    wanted = (*_NEEDED_COLUMNS[name], *OPTIONAL_COLUMNS[name])
    found = [column for column in wanted if column in there.names]
    form = TABLES[name].schema
    if other := [c for c in found if there.field(c).type != form.field(c).type]:
        raise SnapshotError(
            f"the table {name!r} of {manifest.snapshot!r} has a column {other[0]!r} of another type"
        )
    return found


def _read(manifest: RunManifest, name: str, columns: list[str]) -> pa.Table:
    """Return some columns of a table, and in place of missing optional ones what says nothing."""
    rows = sum(part.rows for part in manifest.files if part.table == name)
    if rows > _MOST_ROWS[name]:
        raise SnapshotError(f"the table {name!r} of {manifest.snapshot!r} claims {rows:,} rows")
    table = read_table(manifest, name, columns=columns, check=True)
    bins = len(manifest.about["edges"]) + 1
    for column in OPTIONAL_COLUMNS[name]:
        if column not in columns and name != "vocabulary":
            form = TABLES[name].schema.field(column)
            table = table.append_column(form, _nothing(column, form.type, len(table), bins))
    return table.combine_chunks()


def _nothing(column: str, kind: pa.DataType, rows: int, bins: int) -> pa.Array:
    """Return a column of values that say nothing: NaN, no bins filled, no members, false, 0."""
    value: Any = 0
    if pa.types.is_list(kind):
        value = [0] * bins if column == "activation_histogram" else []
    elif pa.types.is_floating(kind):
        value = math.nan
    elif pa.types.is_boolean(kind):
        value = False
    return pa.array([value] * rows, kind)


def _build(
    manifest: RunManifest, tables: dict[str, pa.Table], absent: tuple[str, ...]
) -> LoadedSnapshot:
    clusters = tables.pop("clusters")
    count = len(clusters)
    if not np.array_equal(clusters["cluster"].to_numpy(), np.arange(count)):
        clusters = clusters.sort_by("cluster").combine_chunks()
    if not np.array_equal(clusters["cluster"].to_numpy(), np.arange(count)):
        raise ValueError("its clusters are not numbered 0, 1, 2, ...")
    if len(tables["totals"]) != 1:
        raise ValueError(f"it has {len(tables['totals'])} rows of totals")
    column: dict[str, Any] = {n: clusters[n].combine_chunks() for n in clusters.column_names}
    members = column["members"]
    names = members.flatten().dictionary_encode()
    if len(names.dictionary) > MAX_CLUSTERS:
        raise ValueError(f"its clusters have {len(names.dictionary):,} features as members")
    totals = tables["totals"].to_pylist()[0]
    numbers = {n: column[n].to_numpy(zero_copy_only=False) for n in _NUMBERS}
    bins = len(manifest.about["edges"]) + 1
    text = read_stored_text(manifest)
    pairs = "member_coactivation"
    return LoadedSnapshot(
        manifest=manifest,
        absent=absent,
        clusterings=tuple(_clusterings(clusters)),
        labels=column["label"],
        dropped=column["dropped_members"],
        histogram=_small(column["activation_histogram"].flatten().to_numpy()).reshape(count, bins),
        member_first=np.r_[0, np.cumsum(pc.list_value_length(members).to_numpy())],
        member=names.indices.to_numpy().astype(np.int64),
        member_names=names.dictionary.to_pylist(),
        features=tables["features"],
        tokens=totals["tokens"],
        rows=totals["rows"],
        refused=totals["refused"],
        vocabulary=dict(_vocabulary(tables["vocabulary"])),
        token_forms=_token_forms(tables["vocabulary"]),
        text=text,
        examples=read_example_index(manifest, text, count),
        member_pairs=None if pairs in absent else read_row_groups(manifest, pairs),
        firing_tokens=numbers["firing_tokens"],
        firing_rows=numbers["firing_rows"],
        densities=numbers["activation_density"],
        means=numbers["mean_activation"],
        low=numbers["min_activation"],
        high=numbers["max_activation"],
        pairs_counted=_counted("member_coactivation", numbers, absent),
        coactivation_counted=_counted("coactivation", numbers, absent),
    )


def _small(counts: I64) -> AnyArray:
    """Return counts in half the memory, where none is too large for that."""
    fits = len(counts) and counts.min() >= 0 and counts.max() < 2**32
    return counts.astype(np.uint32) if fits else counts


def _counted(name: str, numbers: dict[str, Any], absent: tuple[str, ...]) -> Any:
    counted = numbers[f"{name}_counted"]
    return np.zeros_like(counted) if name in absent else counted


def _vocabulary(table: Any) -> Iterator[tuple[int, bytes]]:
    return zip(table["id"].to_pylist(), table["token"].to_pylist(), strict=True)


def _token_forms(table: Any) -> dict[str, dict[int, bytes]]:
    """Return the ids that show as something else at an end of a row, for each such place."""
    found = {}
    for place in ("first", "last", "alone"):
        if place in table.column_names:
            other = table.filter(pc.not_equal(table[place], table["token"]))
            found[place] = dict(zip(other["id"].to_pylist(), other[place].to_pylist(), strict=True))
    return found


def _clusterings(clusters: pa.Table) -> Iterator[LoadedClustering]:
    """Yield each clustering with its range of clusters, which lie together."""
    keys = clusters.select(["clustering", "iteration"])
    groups = (
        keys.append_column("at", pa.array(range(len(keys))))
        .group_by(["clustering", "iteration"], use_threads=False)
        .aggregate([("at", "min"), ("at", "max")])
    )
    if len(groups) > _MOST_CLUSTERINGS:
        raise ValueError(f"it has {len(groups):,} clusterings")
    for group in groups.to_pylist():
        yield LoadedClustering(
            group["clustering"], group["iteration"], group["at_min"], group["at_max"] + 1
        )
