"""The page of one cluster: its numbers, its contexts, and what it fires with."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from consumers.dashboard import formats
from consumers.dashboard.contexts import LEVELS, Context, top_contexts
from consumers.dashboard.data import Clustering, Snapshot
from consumers.dashboard.figures import Bin, display_bins, quantile
from streams.arrays import I64
from streams.store import read_table

NumberKind = Literal["exact", "from bins"]
NEIGHBOURS = 12
MATRIX = 16


@dataclass(frozen=True, slots=True)
class Number:
    """A number that says what it is: its value, the text shown, its kind and what it means."""

    name: str
    value: float | int
    text: str
    kind: NumberKind
    note: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another cluster; both: tokens at which the two fire together."""

    clustering: str
    iteration: int
    label: str
    members: int
    both: int = 0
    jaccard: float = 0.0


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


@dataclass(frozen=True, slots=True)
class ClusterPage:
    """Everything about one cluster. neighbours and matrix are None where nothing was counted."""

    number: int
    clustering: Clustering
    label: str
    status: str
    members: tuple[str, ...]
    dropped: tuple[str, ...]
    numbers: tuple[Number, ...]
    bins: tuple[Bin, ...]
    criterion: str
    criteria: tuple[str, ...]
    contexts: tuple[Context, ...]
    k: int
    neighbours: tuple[Neighbour, ...] | None
    matrix: Matrix | None
    sharing: tuple[Neighbour, ...]
    sharing_total: int
    singles: dict[str, Neighbour]
    previous: str | None
    next: str | None


def cluster_page(
    snapshot: Snapshot, cluster: int, *, criterion: str | None = None, most: int = 20
) -> ClusterPage:
    """Return the page of a cluster with its ``most`` best contexts by one criterion."""
    clustering = snapshot.clustering_of(cluster)
    chosen = criterion if criterion in snapshot.criteria else snapshot.criteria[0]
    members = snapshot.members(cluster)
    bins = display_bins(
        snapshot.histogram[cluster],
        snapshot.edges,
        float(snapshot.low[cluster]),
        float(snapshot.high[cluster]),
    )
    sharing = _sharing(snapshot, cluster, members)
    return ClusterPage(
        number=cluster,
        clustering=clustering,
        label=snapshot.label(cluster),
        status=snapshot.status(cluster),
        members=tuple(members),
        dropped=tuple(snapshot.dropped[cluster].as_py()),
        numbers=_numbers(snapshot, cluster, bins),
        bins=bins,
        criterion=chosen,
        criteria=tuple(snapshot.criteria),
        contexts=top_contexts(snapshot, cluster, chosen, most),
        k=int(snapshot.about["k"]),
        neighbours=_neighbours(snapshot, clustering, cluster),
        matrix=_matrix(snapshot, cluster, members),
        sharing=tuple(_neighbour(snapshot, other) for other in sharing[:NEIGHBOURS]),
        sharing_total=len(sharing),
        singles=_singles(snapshot, members),
        previous=snapshot.label(cluster - 1) if cluster > clustering.first else None,
        next=snapshot.label(cluster + 1) if cluster + 1 < clustering.stop else None,
    )


def _numbers(snapshot: Snapshot, cluster: int, bins: tuple[Bin, ...]) -> tuple[Number, ...]:
    tokens, rows = int(snapshot.firing_tokens[cluster]), int(snapshot.firing_rows[cluster])
    density, share = tokens / max(snapshot.tokens, 1), rows / max(snapshot.rows, 1)
    mean, high = float(snapshot.means[cluster]), float(snapshot.high[cluster])
    low = float(snapshot.low[cluster])
    rounding = f"each token rounded to 2⁻{snapshot.about['sum_bits']} before it was added"
    found = [
        Number("Density", density, formats.percent(density), "exact", formats.one_in(density)),
        Number("Tokens", tokens, formats.count(tokens), "exact", "tokens at which it fires"),
        Number("Contexts", rows, formats.count(rows), "exact", f"{formats.percent(share)} of all"),
        Number("Maximum", high, formats.number(high), "exact", "highest activity"),
        Number("Mean", mean, formats.number(mean), "exact", f"where it fires; {rounding}"),
        Number("Minimum", low, formats.number(low), "exact", "lowest activity where it fires"),
    ]
    for name, share in (("Median", 0.5), ("99th percentile", 0.99)):
        if inside := quantile(bins, share):
            span = f"{formats.number(inside.left)} – {formats.number(inside.right)}"
            found.append(Number(name, inside.left, span, "from bins", "the bin in which it lies"))
    return tuple(found)


def _neighbour(snapshot: Snapshot, cluster: int, both: int = 0, jaccard: float = 0.0) -> Neighbour:
    where = snapshot.clustering_of(cluster)
    size = int(snapshot.sizes[cluster])
    return Neighbour(where.name, where.iteration, snapshot.label(cluster), size, both, jaccard)


def _neighbours(
    snapshot: Snapshot, clustering: Clustering, cluster: int
) -> tuple[Neighbour, ...] | None:
    """Return the clusters it fires with most, by Jaccard index; None if nobody counted."""
    if not snapshot.coactivation_counted[cluster]:
        return None
    pairs = read_table(
        snapshot.manifest, "coactivation", filters=[[("a", "==", cluster)], [("b", "==", cluster)]]
    )
    a, b, both = (pairs[name].to_numpy() for name in ("a", "b", "tokens"))
    other = np.where(a == cluster, b, a)
    firing = snapshot.firing_tokens
    jaccard = np.minimum(both / np.maximum(firing[other] + firing[cluster] - both, 1), 1.0)
    order = np.lexsort((other, -jaccard))[:NEIGHBOURS]
    return tuple(
        _neighbour(snapshot, int(other[i]), int(both[i]), float(jaccard[i]))
        for i in order
        if other[i] != cluster
    )


def _matrix(snapshot: Snapshot, cluster: int, members: list[str]) -> Matrix | None:
    """Return the co-activation of a cluster's members; None for one or where it was not counted."""
    if len(members) < 2 or not snapshot.pairs_counted[cluster]:
        return None
    pairs = read_table(
        snapshot.manifest, "member_coactivation", filters=[("cluster", "==", cluster)]
    )
    both = np.zeros((len(members), len(members)), np.int64)
    a, b, tokens = (pairs[name].to_numpy() for name in ("a", "b", "tokens"))
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


def _sharing(snapshot: Snapshot, cluster: int, members: list[str]) -> list[int]:
    """Return the other clusters that hold some of the members, the most shared first."""
    shared: dict[int, int] = {}
    for member in members:
        for holder in snapshot.holders(member):
            shared[holder] = shared.get(holder, 0) + 1
    shared.pop(cluster, None)
    return sorted(shared, key=lambda other: (-shared[other], -int(snapshot.sizes[other]), other))


def _singles(snapshot: Snapshot, members: list[str]) -> dict[str, Neighbour]:
    """Return, for each member that has a cluster of its own, that cluster."""
    found = {}
    for member in members:
        alone = [c for c in snapshot.holders(member) if snapshot.sizes[c] == 1]
        if alone:
            found[member] = _neighbour(snapshot, alone[0])
    return found
