"""Numbers of clusters that a list can show, be sorted by and be bounded by.

Density, maximum and mean are in every snapshot. Every other table with one row per cluster or per
feature, of an optional statistic or of an attachment, adds its numbers: scores, entropies, norms.
"""

import logging
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedSnapshot
from streams.arrays import F64, I64, AnyArray
from streams.bounds import MAX_CLUSTERS
from streams.errors import SnapshotError
from streams.snapshots.attachments import DEFAULT, AttachmentManifest
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_entry import ColumnEntry, TableEntry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import TABLES

_log = logging.getLogger(__name__)

BUILT_IN = ("density", "max", "mean")
"""Columns that a list always shows."""

RESERVED = ("order", "label", "members", "domain", "similarity")
_NUMBERS = ("float32", "float64")
MAP = ("map.x", "map.y")
"""Where a feature lies on the map that is attached under no name."""
_MOST = 64

Manifest = RunManifest | AttachmentManifest


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the numbers of a column are read. by: what a row is of, "cluster" or "feature"."""

    manifest: Manifest
    table: str
    column: str
    by: str


@dataclass(frozen=True, slots=True)
class Column:
    """A number of every cluster. name: in addresses. note: what it is. unit: of the number.

    key: of the values, which do not change. stored: None for those in memory.
    """

    name: str
    title: str
    note: str
    key: Hashable
    unit: str = ""
    meaning: str = "exact"
    stored: Stored | None = None


def columns_of(snapshot: LoadedSnapshot) -> Mapping[str, Column]:
    """Return the columns of a snapshot and of what is attached to it now, by their name."""
    attached = attachments_of(snapshot).now()
    key = ("columns", tuple((each.kind, each.name, each.hash) for each in attached))
    return snapshot.once(key, partial(_found, snapshot, attached))


def values_of(snapshot: LoadedSnapshot, column: Column) -> AnyArray:
    """Return the number [cluster] of every cluster of a snapshot, NaN where there is none."""
    if column.stored is None:
        in_memory: dict[str, AnyArray] = {
            "density": snapshot.densities,
            "max": snapshot.high,
            "mean": snapshot.means,
        }
        return in_memory[column.name]
    return snapshot.once(("column", column.key), partial(_read, snapshot, column.stored))


def _found(
    snapshot: LoadedSnapshot, attached: tuple[AttachmentManifest, ...]
) -> Mapping[str, Column]:
    found = {
        "density": Column("density", "Density", "share of valid tokens at which it is active", 0),
        "max": Column("max", "Maximum", "largest activation", 1),
        "mean": Column("mean", "Mean", "mean activation where it is active", 2),
    }
    entries: list[tuple[Manifest, TableEntry, str]] = [
        (snapshot.manifest, each, "")
        for each in snapshot.manifest.tables
        if each.name not in TABLES
    ]
    for one in attached:
        named = "map" if one.kind == "feature_map" else ""
        named = named if one.name == DEFAULT else one.name
        entries += [(one, entry, named) for entry in one.tables]
    for manifest, entry, named in entries:
        for column in _numbers(entry):
            name = f"{named}.{column.name}" if named else column.name
            if name in found or name in RESERVED:
                name = f"{entry.name}.{name}"
            if name not in found and len(found) < _MOST:
                found[name] = _column(manifest, entry, column, name)
    return found


def _numbers(entry: TableEntry) -> Iterator[ColumnEntry]:
    """Yield the numbers of a table that has a row per cluster or feature, without their errors."""
    if entry.key in (("cluster",), ("feature",)):
        for column in entry.columns:
            if column.type in _NUMBERS and not column.name.endswith("_error"):
                yield column


def _column(manifest: Manifest, entry: TableEntry, column: ColumnEntry, name: str) -> Column:
    return Column(
        name=name,
        title=name.replace("_", " ").replace(".", " ").capitalize(),
        note=column.description,
        key=(entry.name, entry.hash, column.name),
        unit=column.unit,
        meaning=column.meaning,
        stored=Stored(manifest, entry.name, column.name, entry.key[0]),
    )


def _read(snapshot: LoadedSnapshot, stored: Stored) -> F64:
    """Return the numbers of a table; one that cannot be read has none."""
    found = np.full(len(snapshot.labels), np.nan)
    try:
        rows = read_table(stored.manifest, stored.table, columns=[stored.by, stored.column])
        number = rows[stored.by].to_numpy().astype(np.int64)
        values = rows[stored.column].to_numpy().astype(np.float64)
    except (SnapshotError, ValueError, TypeError) as error:
        _log.error("column cannot be read: %s.%s %s", stored.table, stored.column, error)
        return found
    cluster = number
    if stored.by == "feature":
        cluster = cluster_of_feature(snapshot, number)
    inside = (cluster >= 0) & (cluster < len(found)) & np.isfinite(values)
    found[cluster[inside]] = values[inside]
    return found


def cluster_of_feature(snapshot: LoadedSnapshot, features: AnyArray) -> I64:
    """Return the cluster of one of each feature, numbered as in the table of features; -1 if it
    has none."""
    found = snapshot.once("clusters of features", partial(_of_feature, snapshot))
    known = (features >= 0) & (features < len(found) - 1)
    return found[np.where(known, features, -1)]


def _of_feature(snapshot: LoadedSnapshot) -> I64:
    """Return the cluster of one of each feature, in the order of the table of features, -1 where
    there is none; behind the last a -1 more."""
    parts = []
    for source in snapshot.about.get("sources", ()):
        size = source.get("components")
        size = size if type(size) is int and 0 <= size <= MAX_CLUSTERS else 0
        clustering = snapshot.clustering(f"features/{source['name']}", 0)
        if clustering is None or clustering.stop - clustering.first != size:
            parts.append(np.full(size, -1))
        else:
            parts.append(np.arange(clustering.first, clustering.stop))
    return np.concatenate([*parts, np.full(1, -1)])
