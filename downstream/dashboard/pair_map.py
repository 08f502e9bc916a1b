"""The map of co-activation: which clusters of a clustering are active at the same tokens."""

from dataclasses import dataclass

import numpy as np

from downstream.dashboard.comparison_pairs import Part, pairs_by_coactivation
from downstream.rendering import addresses
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.peaks import peak_text
from streams.arrays import F64, I64
from streams.errors import SnapshotError

MOST = 400
"""Clusters on a map, those that fire most: more rows than a screen has are no picture."""


@dataclass(frozen=True, slots=True)
class PairMap:
    """Clusters in an order that puts those together that are active together.

    labels, tokens, links: per cluster, its label, the tokens it peaks at, its address. a, b, score:
    per pair, the places of the two and the Jaccard index of their active tokens; a is not b. of:
    how many clusters fire. sampled: counted in the shared rows alone.
    """

    labels: list[str]
    tokens: list[str]
    links: list[str]
    a: list[int]
    b: list[int]
    score: list[float]
    of: int
    sampled: bool


def pair_map(snapshot: LoadedSnapshot, run: str, clustering: LoadedClustering) -> PairMap | None:
    """Return the map of a clustering, None where co-activation was not counted."""
    span = slice(clustering.first, clustering.stop)
    firing = snapshot.firing_tokens[span]
    chosen = np.argsort(-firing, kind="stable")[: min(MOST, int((firing > 0).sum()))]
    sampled = not bool(snapshot.coactivation_counted[span].any())
    scores = _sampled(snapshot, clustering, chosen) if sampled else _exact(snapshot, span, chosen)
    if scores is None or len(chosen) < 2:
        return None
    order = _order(scores)
    chosen, scores = chosen[order], scores[np.ix_(order, order)]
    a, b = np.nonzero(scores)
    name, iteration = clustering.name, clustering.iteration
    labels = [snapshot.label(clustering.first + int(n)) for n in chosen]
    return PairMap(
        labels=labels,
        tokens=[peak_text(snapshot, clustering.first + int(n)) for n in chosen],
        links=[addresses.cluster_address(run, name, iteration, label) for label in labels],
        a=a.tolist(),
        b=b.tolist(),
        score=np.round(scores[a, b], 4).tolist(),
        of=int((firing > 0).sum()),
        sampled=sampled,
    )


def _exact(snapshot: LoadedSnapshot, span: slice, chosen: I64) -> F64:
    """Return the Jaccard index [n, n] of the clusters chosen, from pairs of all tokens."""
    a, b, both = snapshot.pairs.among(chosen + span.start)
    firing = snapshot.firing_tokens[span][chosen]
    found = np.zeros((len(chosen), len(chosen)))
    found[a, b] = np.minimum(both / np.maximum(firing[a] + firing[b] - both, 1), 1.0)
    np.fill_diagonal(found, 0.0)
    return found


def _sampled(snapshot: LoadedSnapshot, clustering: LoadedClustering, chosen: I64) -> F64 | None:
    """Return the same from the attachment that was counted in the shared rows."""
    part = Part(snapshot, clustering)
    try:
        pairs = pairs_by_coactivation(part, part)
    except SnapshotError:
        return None
    if pairs is None:
        return None
    place = np.full(part.size, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    keep = (place[pairs.a] >= 0) & (place[pairs.b] >= 0)
    a, b = place[pairs.a[keep]], place[pairs.b[keep]]
    found = np.zeros((len(chosen), len(chosen)))
    found[a, b] = pairs.score[keep]
    np.fill_diagonal(found, 0.0)
    return np.maximum(found, found.T)  # of two, one may be among the other's best alone


def _order(scores: F64) -> I64:
    """Return an order in which clusters with large scores stand together: average linkage."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    far = 1 - np.clip((scores + scores.T) / 2, 0, 1)
    np.fill_diagonal(far, 0.0)
    found: I64 = leaves_list(linkage(squareform(far, checks=False), "average")).astype(np.int64)
    return found
