"""Signed values of single features in the shared rows, where all of several are known."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from downstream.reading.shared_firings import SharedFirings
from downstream.reading.silent import RANKING
from streams.arrays import I64, Bool
from streams.errors import SnapshotError
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table

_COLUMNS = ("positions", "member_positions", "member_activations")


@dataclass(frozen=True, eq=False)
class SharedValues:
    """Values in the first rows of the shared ones. value: [cluster, row * context + position].

    value: a sparse array, 0 where a cluster is not active; empty for clusters that are no single
    feature. rows: how many rows are looked at. exact: these are all rows there are.
    """

    value: Any
    context: int
    rows: int
    exact: bool


def read_shared_values(manifest: RunManifest, firings: SharedFirings, single: Bool) -> SharedValues:
    """Return the values of single features in the rows in which all of them are known.

    single: [cluster], which clusters are a single feature that is asked for. Raises SnapshotError
    for values that make no sense.
    """
    from scipy import sparse

    rows, context = firings.rows, firings.context
    known = int(firings.end[single].min(initial=len(rows.places)))
    filters = [("ranking", "==", RANKING)]
    hits = read_table(manifest, "hits", columns=_COLUMNS, filters=filters)
    wanted = np.flatnonzero(single[rows.cluster] & (rows.number < known))
    hits = hits.take(wanted).combine_chunks()
    active_hit, active = _flat(hits["positions"])
    hit, position = _flat(hits["member_positions"])
    _, value = _flat(hits["member_activations"])
    inside = not len(position) or 0 <= position.min() <= position.max() < context
    if len(value) != len(position) or not inside or not np.isfinite(value).all():
        raise SnapshotError(f"snapshot {manifest.snapshot!r} has hits with values of no token")
    # Below the threshold of its source a value is no activity: it counts as 0, like in other rows.
    fires = np.isin(hit * context + position, active_hit * context + active)
    hit, position, value = hit[fires], position[fires], value[fires]
    cluster, number = rows.cluster[wanted], rows.number[wanted]
    shape = (len(single), known * context)
    at = (cluster[hit], number[hit] * context + position)
    found = sparse.csr_array((value.astype(np.float64), at), shape=shape)
    found.sort_indices()
    return SharedValues(found, context, known, not firings.full[single].any())


def _flat(column: Any) -> tuple[I64, Any]:
    """Return a column of lists as the number of the list of each entry, and the entries."""
    lists = column.combine_chunks()
    counts = np.diff(lists.offsets.to_numpy().astype(np.int64))
    entries = lists.flatten().to_numpy()
    numbers = entries.astype(np.int64) if entries.dtype.kind in "iu" else entries
    return np.repeat(np.arange(len(counts)), counts), numbers
