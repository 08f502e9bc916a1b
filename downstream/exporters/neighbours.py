"""Neighbours of features: by the cosine of their directions where attached, or by co-activation."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc

from downstream.exporters.cluster_ranges import ClusterRange, columns_of
from downstream.exporters.feature_rows import FeatureRows, find_rows
from downstream.reading.snapshot import Snapshot
from streams.arrays import F64, I64
from streams.snapshots.table_reading import read_pieces

DIRECTIONS = ("decoder", "encoder")
_BLOCK = 2048

Near = Sequence[tuple[float, int]]
"""Neighbours of a cluster, the nearest first: how near, and the place in the clustering."""


def find_neighbours(snapshot: Snapshot, source: str, direction: str) -> FeatureRows | None:
    """Return the neighbours of a source's features by direction, None if none are attached.

    direction: one of ``DIRECTIONS``. A row has ``other_indices`` and ``cosines``.
    """
    same = {"source": source, "other_source": source, "direction": direction}
    return find_rows(snapshot, "neighbours", "neighbours", same)


def by_direction(rows: FeatureRows, features: int) -> Iterator[tuple[int, list[Near]]]:
    """Yield the neighbours of all features in blocks, each with the first feature's index."""
    for first in range(0, features, _BLOCK):
        lists: list[Near] = []
        for index in range(first, min(first + _BLOCK, features)):
            row = rows.of(index) or {"cosines": [], "other_indices": []}
            lists.append(list(zip(row["cosines"], row["other_indices"], strict=True)))
        yield first, lists


def by_coactivation(
    snapshot: Snapshot, chosen: ClusterRange, most: int
) -> Iterator[tuple[int, list[Near]]] | None:
    """Return the same by Jaccard index for a clustering; None if its pairs were not counted."""
    firing = firing_tokens(snapshot, chosen)
    return None if firing is None else _blocks(snapshot, chosen, firing, most)


def _blocks(
    snapshot: Snapshot, chosen: ClusterRange, firing: I64, most: int
) -> Iterator[tuple[int, list[Near]]]:
    for first in range(0, len(chosen), _BLOCK):
        stop = min(first + _BLOCK, len(chosen))
        own, other, tokens = _pairs(snapshot, chosen, first, stop)
        jaccard: F64 = tokens / np.maximum(firing[own] + firing[other] - tokens, 1)
        order = np.lexsort((other, -jaccard, own))
        bounds = np.searchsorted(own[order], np.arange(first, stop + 1))
        lists: list[Near] = [
            [(float(jaccard[at]), int(other[at])) for at in order[low:high][:most]]
            for low, high in pairwise(bounds)
        ]
        yield first, lists


def pairs(snapshot: Snapshot, chosen: ClusterRange) -> Iterator[tuple[I64, I64, I64]]:
    """Yield places in the clustering of two clusters, a < b, and the tokens that they share."""
    for pieces in read_pieces(snapshot.manifest, "coactivation", size=2**16):
        for piece in pieces:
            a = piece.column("cluster_a").to_numpy().astype(np.int64) - chosen.first
            b = piece.column("cluster_b").to_numpy().astype(np.int64) - chosen.first
            inside = (a >= 0) & (a < len(chosen))
            yield a[inside], b[inside], piece.column("tokens").to_numpy()[inside]


def _pairs(snapshot: Snapshot, chosen: ClusterRange, first: int, stop: int) -> tuple[I64, I64, I64]:
    """Return the pairs of clusters first to stop - 1 with any other, in both directions."""
    found: list[tuple[I64, I64, I64]] = [(_NONE, _NONE, _NONE)]
    for a, b, tokens in pairs(snapshot, chosen):
        for own, other in ((a, b), (b, a)):
            here = (own >= first) & (own < stop)
            found.append((own[here], other[here], tokens[here]))
    own, other, tokens = (np.concatenate(column) for column in zip(*found, strict=True))
    return own, other, tokens


def firing_tokens(snapshot: Snapshot, chosen: ClusterRange) -> I64 | None:
    """Return each cluster's active tokens; None if their co-activation was not counted."""
    if snapshot.manifest.table("coactivation") is None:
        return None
    table = columns_of(snapshot, chosen, "firing_tokens", "coactivation_counted")
    if not pc.any(table["coactivation_counted"]).as_py():
        return None
    found: I64 = table["firing_tokens"].to_numpy()
    return found


_NONE: I64 = np.zeros(0, np.int64)
