"""A snapshot in memory: what every page needs. Hits and samples stay on disk (see contexts.py)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.arrays import F32, I64, AnyArray, Bool
from streams.errors import SnapshotError
from streams.snapshot import TABLES, RunManifest
from streams.store import read_table

_ABOUT = ("model", "corpus", "context", "criteria", "k", "edges", "sum_bits", "clusterings")
_KEPT = ("clusters", "components", "totals", "vocabulary")


@dataclass(frozen=True, slots=True)
class Clustering:
    """A clustering's place among all clusters: numbers first to stop - 1."""

    name: str
    iteration: int
    first: int
    stop: int

    @property
    def noun(self) -> str:
        """What one of its clusters is called."""
        return "feature" if self.name.startswith("features/") else "cluster"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One snapshot, opened. Arrays have one entry per cluster, in the order of their numbers.

    member_first [cluster + 1] and member: the members of each cluster, as numbers into
    member_names. vocabulary: the bytes of each token id.
    """

    manifest: RunManifest
    clusterings: tuple[Clustering, ...]
    labels: pa.StringArray
    dropped: "pa.ListArray[Any]"
    firing_tokens: I64
    firing_rows: I64
    sums: I64
    low: F32
    high: F32
    histogram: I64
    pairs_counted: Bool
    coactivation_counted: Bool
    member_first: I64
    member: I64
    member_names: list[str]
    components: pa.Table
    tokens: int
    rows: int
    refused: int
    vocabulary: dict[int, bytes]

    @property
    def about(self) -> dict[str, Any]:
        """The run record for people."""
        return self.manifest.about

    @property
    def edges(self) -> list[float]:
        """Lower edges of the histogram bins."""
        return [float(edge) for edge in self.about["edges"]]

    @property
    def criteria(self) -> list[str]:
        """What the top tables are ranked by."""
        return [str(name) for name in self.about["criteria"]]

    @cached_property
    def densities(self) -> AnyArray:
        """Share of the valid tokens at which each cluster fires."""
        return self.firing_tokens / max(self.tokens, 1)

    @cached_property
    def means(self) -> AnyArray:
        """Mean activity of each cluster where it fires; 0 where it never does."""
        units = self.sums / float(2 ** int(self.about["sum_bits"]))
        return units / np.maximum(self.firing_tokens, 1)

    @cached_property
    def sizes(self) -> I64:
        """Members per cluster."""
        return np.diff(self.member_first)

    @cached_property
    def _holders(self) -> tuple[I64, I64]:
        """Clusters by member: bounds [member + 1] and cluster numbers."""
        cluster = np.repeat(np.arange(len(self.sizes)), self.sizes)
        counts = np.bincount(self.member, minlength=len(self.member_names))
        return np.r_[0, np.cumsum(counts)], cluster[np.argsort(self.member, kind="stable")]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.member_names)}

    def members(self, cluster: int) -> list[str]:
        """Return the labels of a cluster's live members."""
        first, stop = self.member_first[cluster], self.member_first[cluster + 1]
        return [self.member_names[number] for number in self.member[first:stop]]

    def label(self, cluster: int) -> str:
        """Return a cluster's label."""
        return str(self.labels[cluster].as_py())

    def clustering_of(self, cluster: int) -> Clustering:
        """Return the clustering that a cluster belongs to."""
        return next(c for c in self.clusterings if c.first <= cluster < c.stop)

    def clustering(self, name: str, iteration: int) -> Clustering | None:
        """Return the clustering of that name and iteration, if there is one."""
        found = (c for c in self.clusterings if (c.name, c.iteration) == (name, iteration))
        return next(found, None)

    def find(self, clustering: Clustering, label: str) -> int | None:
        """Return the number of a clustering's cluster by its label."""
        part = self.labels.slice(clustering.first, clustering.stop - clustering.first)
        found = pc.index(part, pa.scalar(label)).as_py()
        return None if found < 0 else clustering.first + int(found)

    def holders(self, component: str) -> list[int]:
        """Return the clusters that a component is a member of."""
        number = self._numbers.get(component)
        if number is None:
            return []
        bounds, clusters = self._holders
        return [int(c) for c in clusters[bounds[number] : bounds[number + 1]]]

    def status(self, cluster: int) -> str:
        """Say whether a cluster fires, never fired, or has no member left."""
        if not self.sizes[cluster]:
            return "empty"
        return "fires" if self.firing_tokens[cluster] else "dead"


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
