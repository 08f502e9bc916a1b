"""Co-activation on pages: clusters active at the same tokens, members, and who shares members."""

import math
from dataclasses import dataclass

import numpy as np

from downstream.reading.shared_firings import SharedFirings, read_shared_firings
from downstream.reading.silent import RANKING
from downstream.rendering.contexts import LEVELS
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.peaks import peak_text
from streams.arrays import I64
from streams.bounds import PAIRS_LIMIT

NEIGHBOURS = 12
MATRIX = 16
_MOST_COUNTED = math.isqrt(2 * PAIRS_LIMIT)
"""Members of the largest cluster whose pairs any run counts."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another cluster; both: tokens at which the two co-activate.

    jaccard_error: a standard error where only the shared rows were looked at, else 0. tokens: at
    which its best examples peak, what it is called without a written label; empty where unasked.
    """

    clustering: str
    iteration: int
    label: str
    members: int
    both: int = 0
    jaccard: float = 0.0
    jaccard_error: float = 0.0
    tokens: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Two members: tokens at which both fire, and its shade."""

    both: int
    jaccard: float
    level: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """Member co-activation: the members that fire most, of ``members`` in all."""

    labels: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    members: int


def neighbour(
    snapshot: LoadedSnapshot,
    cluster: int,
    both: int = 0,
    jaccard: float = 0.0,
    jaccard_error: float = 0.0,
    *,
    named: bool = True,
) -> Neighbour:
    """Return a cluster as another one's neighbour; named: with the tokens that it peaks at."""
    where = snapshot.clustering_of(cluster)
    size = int(snapshot.sizes[cluster])
    label, tokens = snapshot.label(cluster), peak_text(snapshot, cluster) if named else ""
    return Neighbour(where.name, where.iteration, label, size, both, jaccard, jaccard_error, tokens)


def neighbours(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, cluster: int
) -> tuple[Neighbour, ...] | None:
    """Return the clusters it co-activates with most, by Jaccard index.

    Where the run did not count all tokens, those of the rows of the ranking ``shared``; None if it
    has neither.
    """
    if not snapshot.coactivation_counted[cluster]:
        return _sampled_neighbours(snapshot, clustering, cluster)
    other, both = snapshot.pairs.of(cluster)
    firing = snapshot.firing_tokens
    jaccard = np.minimum(both / np.maximum(firing[other] + firing[cluster] - both, 1), 1.0)
    order = np.lexsort((other, -jaccard))[:NEIGHBOURS]
    return tuple(
        neighbour(snapshot, int(other[i]), int(both[i]), float(jaccard[i]))
        for i in order
        if other[i] != cluster
    )


def _sampled_neighbours(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, cluster: int
) -> tuple[Neighbour, ...] | None:
    firings = snapshot.once("shared firings", lambda: _shared_firings(snapshot))
    if firings is None:
        return None
    others = slice(clustering.first, clustering.stop)
    pairs = firings.pairs(slice(cluster, cluster + 1), others).best(NEIGHBOURS)
    errors, columns = firings.errors(pairs).jaccard, (pairs.b, pairs.both, pairs.jaccard)
    return tuple(
        neighbour(snapshot, int(other), int(both), float(jaccard), float(error))
        for other, both, jaccard, error in zip(*columns, errors, strict=True)
    )


def _shared_firings(snapshot: LoadedSnapshot) -> SharedFirings | None:
    """Return the firings in the shared rows, None where the snapshot has none."""
    if RANKING not in snapshot.rankings or not snapshot.manifest.final:
        return None
    return read_shared_firings(snapshot.manifest)


def member_matrix(snapshot: LoadedSnapshot, cluster: int, members: list[str]) -> Matrix | None:
    """Return the co-activation of a cluster's members; None for one or where it was not counted."""
    possible = 1 < len(members) <= _MOST_COUNTED
    if not possible or not snapshot.pairs_counted[cluster] or snapshot.member_pairs is None:
        return None
    pairs = snapshot.member_pairs.rows([cluster], ("member_a", "member_b", "tokens"))
    both = np.zeros((len(members), len(members)), np.int64)
    a, b, tokens = (pairs[name].to_numpy() for name in ("member_a", "member_b", "tokens"))
    both[a, b] = both[b, a] = tokens
    shown = np.argsort(-both.diagonal(), kind="stable")[:MATRIX]
    part = both[np.ix_(shown, shown)]
    return Matrix(tuple(members[i] for i in shown), _cells(part), len(members))


def _cells(both: I64) -> tuple[tuple[Cell, ...], ...]:
    alone = both.diagonal()
    jaccard = both / np.maximum(alone[:, None] + alone[None, :] - both, 1)
    levels = np.ceil(LEVELS * jaccard).astype(int)
    return tuple(
        tuple(Cell(int(n), float(j), int(level)) for n, j, level in zip(*row, strict=True))
        for row in zip(both, jaccard, levels, strict=True)
    )


def sharing_clusters(snapshot: LoadedSnapshot, cluster: int, members: list[str]) -> list[int]:
    """Return the other clusters that hold some of the members, the most shared first."""
    shared: dict[int, int] = {}
    for member in members:
        for holder in snapshot.holders(member):
            shared[holder] = shared.get(holder, 0) + 1
    shared.pop(cluster, None)
    return sorted(shared, key=lambda other: (-shared[other], -int(snapshot.sizes[other]), other))


def single_clusters(
    snapshot: LoadedSnapshot, members: list[str], *, named: bool = False
) -> dict[str, Neighbour]:
    """Return, for each member that has a cluster of its own, that cluster."""
    found = {}
    for member in members:
        alone = [c for c in snapshot.holders(member) if snapshot.sizes[c] == 1]
        if alone:
            found[member] = neighbour(snapshot, alone[0], named=named)
    return found
