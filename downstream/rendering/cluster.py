"""The page of one cluster: its numbers, max-activating examples and co-activation."""

import math
from dataclasses import dataclass
from typing import Literal

from downstream.reading.silent import RANKING
from downstream.rendering import formats
from downstream.rendering.coactivation import (
    NEIGHBOURS,
    Matrix,
    Neighbour,
    member_matrix,
    neighbour,
    neighbours,
    sharing_clusters,
    single_clusters,
)
from downstream.rendering.contexts import (
    INTERVALS,
    Context,
    interval_texts,
    silent_contexts,
    top_contexts,
)
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.figures import Bin, display_bins, quantile

SILENT = "silent"
"""In place of a ranking: contexts in which a cluster is verified to be active nowhere."""

FEW = 20
"""Contexts that a page shows unless it is asked for more."""

NumberKind = Literal["exact", "from bins"]


@dataclass(frozen=True, slots=True)
class Number:
    """A number that says what it is: its value, the text shown, its kind and what it means."""

    name: str
    value: float | int
    text: str
    kind: NumberKind
    note: str


@dataclass(frozen=True, slots=True)
class ClusterPage:
    """Everything about one cluster. neighbours and matrix are None where nothing was counted.

    sampled: the neighbours are those of the shared rows.
    meaning: of the scores. intervals: the interval of activation of each context, where the
    ranking has intervals; k examples then are of each. folded: near-duplicates are left out.
    """

    number: int
    clustering: LoadedClustering
    label: str
    status: str
    members: tuple[str, ...]
    dropped: tuple[str, ...]
    numbers: tuple[Number, ...]
    bins: tuple[Bin, ...]
    ranking: str
    rankings: tuple[str, ...]
    meaning: str
    contexts: tuple[Context, ...]
    intervals: tuple[str, ...]
    k: int
    folded: bool
    neighbours: tuple[Neighbour, ...] | None
    sampled: bool
    matrix: Matrix | None
    sharing: tuple[Neighbour, ...]
    sharing_total: int
    singles: dict[str, Neighbour]
    previous: str | None
    next: str | None


def cluster_page(
    snapshot: LoadedSnapshot,
    cluster: int,
    *,
    ranking: str | None = None,
    most: int = FEW,
    fold: bool = False,
) -> ClusterPage:
    """Return the page of a cluster with its ``most`` best contexts by one ranking.

    fold: near-duplicates of better ones are left out.
    """
    clustering = snapshot.clustering_of(cluster)
    rankings = rankings_of(snapshot)
    chosen = ranking if ranking in rankings else rankings[0]
    members = snapshot.members(cluster)
    if chosen == SILENT:
        contexts = silent_contexts(snapshot, cluster, most)
    else:
        contexts = top_contexts(snapshot, cluster, chosen, most, fold=fold)
    bins = display_bins(
        snapshot.histogram[cluster],
        snapshot.edges,
        float(snapshot.low[cluster]),
        float(snapshot.high[cluster]),
    )
    sharing = sharing_clusters(snapshot, cluster, members)
    return ClusterPage(
        number=cluster,
        clustering=clustering,
        label=snapshot.label(cluster),
        status=snapshot.status(cluster),
        members=tuple(members),
        dropped=tuple(snapshot.dropped[cluster].as_py()),
        numbers=_numbers(snapshot, cluster, bins),
        bins=bins,
        ranking=chosen,
        rankings=rankings,
        meaning=str(snapshot.ranking(chosen).get("meaning", "")),
        contexts=contexts,
        intervals=interval_texts(snapshot.edges, contexts) if chosen == INTERVALS else (),
        k=int(snapshot.ranking(chosen).get("k", snapshot.about["k"])),
        folded=fold,
        neighbours=neighbours(snapshot, clustering, cluster),
        sampled=not snapshot.coactivation_counted[cluster],
        matrix=member_matrix(snapshot, cluster, members),
        sharing=tuple(neighbour(snapshot, other) for other in sharing[:NEIGHBOURS]),
        sharing_total=len(sharing),
        singles=single_clusters(snapshot, members),
        previous=snapshot.label(cluster - 1) if cluster > clustering.first else None,
        next=snapshot.label(cluster + 1) if cluster + 1 < clustering.stop else None,
    )


def rankings_of(snapshot: LoadedSnapshot) -> tuple[str, ...]:
    """Return what the contexts of a page can be ranked by; the first is the usual one."""
    known = tuple(snapshot.rankings)
    return (*known, SILENT) if RANKING in known and snapshot.manifest.final else known


def _numbers(snapshot: LoadedSnapshot, cluster: int, bins: tuple[Bin, ...]) -> tuple[Number, ...]:
    tokens, rows = int(snapshot.firing_tokens[cluster]), int(snapshot.firing_rows[cluster])
    density, share = float(snapshot.densities[cluster]), rows / max(snapshot.rows, 1)
    mean, high = float(snapshot.means[cluster]), float(snapshot.high[cluster])
    low = float(snapshot.low[cluster])
    rounding = f"each token rounded to 2⁻{snapshot.about['sum_bits']} before it was added"
    found = [
        Number(
            "Activation density",
            density,
            formats.percent(density),
            "exact",
            formats.one_in(density),
        ),
        Number("Tokens", tokens, formats.count(tokens), "exact", "tokens at which it is active"),
        Number("Contexts", rows, formats.count(rows), "exact", f"{formats.percent(share)} of all"),
        Number("Maximum", high, formats.number(high), "exact", "highest activation"),
    ]
    if not math.isnan(mean):
        note = f"where it is active; {rounding}"
        found.append(Number("Mean", mean, formats.number(mean), "exact", note))
    if not math.isnan(low):
        note = "lowest activation where it is active"
        found.append(Number("Minimum", low, formats.number(low), "exact", note))
    for name, share in (("Median", 0.5), ("99th percentile", 0.99)):
        if inside := quantile(bins, share):
            span = f"{formats.number(inside.left)} – {formats.number(inside.right)}"
            found.append(Number(name, inside.left, span, "from bins", "the bin in which it lies"))
    return tuple(found)
