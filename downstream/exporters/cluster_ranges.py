"""Clusterings of a snapshot as ranges of the clusters' numbers, and columns of such a range."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError
from streams.snapshots.table_reading import read_pieces
from streams.snapshots.tables import CLUSTERS

SINGLES = "features/"
"""How the names of clusterings of single features begin."""

_PIECE = 4096


@dataclass(frozen=True, slots=True)
class ClusterRange:
    """A clustering and its iteration: the clusters of numbers first to stop - 1."""

    clustering: str
    iteration: int
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


def features_of(snapshot: Snapshot, source: str | None) -> ClusterRange:
    """Return the features of a source as clusters of one; the only dictionary by default.

    Raises ExportError, naming the sources there are.
    """
    known = [one.clustering for one in clusterings(snapshot) if one.clustering.startswith(SINGLES)]
    names = [name.removeprefix(SINGLES) for name in known]
    wanted = source or (names[0] if len(names) == 1 else None)
    if wanted is None:
        raise ExportError(f"say which --source, one of {', '.join(names) or 'none'}")
    if wanted not in names:
        raise ExportError(
            f"the features of a source {wanted!r} were not watched (there are: "
            f"{', '.join(names) or 'none'})"
        )
    return clustering_of(snapshot, f"{SINGLES}{wanted}", 0)


def clustering_of(snapshot: Snapshot, name: str, iteration: int) -> ClusterRange:
    """Return a clustering's clusters; raises ExportError, naming the clusterings there are."""
    known = clusterings(snapshot)
    for one in known:
        if (one.clustering, one.iteration) == (name, iteration):
            return one
    named = ", ".join(f"{one.clustering} ({one.iteration})" for one in known) or "none"
    raise ExportError(f"there is no clustering {name!r} ({iteration}); there are: {named}")


def clusterings(snapshot: Snapshot) -> list[ClusterRange]:
    """Return the clusterings of a snapshot with their iterations, by the clusters' numbers."""
    found: list[ClusterRange] = []
    columns = ("cluster", "clustering", "iteration")
    for pieces in read_pieces(snapshot.manifest, "clusters", columns=columns, size=_PIECE):
        for piece in pieces:
            rows = pa.Table.from_batches([piece]).group_by(["clustering", "iteration"])
            for row in rows.aggregate([("cluster", "min"), ("cluster", "max")]).to_pylist():
                name, iteration = row["clustering"], row["iteration"]
                first, stop = row["cluster_min"], row["cluster_max"] + 1
                if found and (found[-1].clustering, found[-1].iteration) == (name, iteration):
                    first = found.pop().first
                found.append(ClusterRange(name, iteration, first, stop))
    return found


def columns_of(snapshot: Snapshot, chosen: ClusterRange, *names: str) -> pa.Table:
    """Return columns of the table ``clusters`` for the clusters of a range, by their numbers."""
    found = [CLUSTERS.schema.empty_table().select(["cluster", *names])]
    columns = ("cluster", *names)
    for pieces in read_pieces(snapshot.manifest, "clusters", columns=columns, size=_PIECE):
        for piece in pieces:
            table = pa.Table.from_batches([piece]).select(list(columns))
            own = table["cluster"]
            inside = pc.and_(pc.greater_equal(own, chosen.first), pc.less(own, chosen.stop))
            found.append(table.filter(inside))
    return pa.concat_tables(found)
