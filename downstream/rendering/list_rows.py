"""Rows of a list of clusters: the numbers, the histogram and the best example of each."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from downstream.reading.made_labels import MadeLabel
from downstream.rendering.contexts import Context, best_contexts
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.made_labels import made_labels_of
from downstream.rendering.peaks import Peak, peaks_of
from streams.arrays import I64, AnyArray
from streams.snapshots.annotations import ClusterAnnotations

Why = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A cluster in the list. spark: its histogram, between the clustering's outermost bins.

    peaks: the tokens at which most of its ``examples`` best examples peak. why: how many of them
    peak at the token, and have the words, that were looked for; at how many such tokens it is
    active. written: by people. made: its label by a program. more: its numbers in the columns that
    are shown beside the built-in ones.
    """

    number: int
    label: str
    members: tuple[str, ...]
    size: int
    status: str
    density: float
    firing_tokens: int
    mean: float | None
    high: float
    spark: tuple[int, ...]
    best: Context | None
    peaks: tuple[Peak, ...]
    examples: int
    written: ClusterAnnotations | None
    made: MadeLabel | None
    why: Why
    more: tuple[float | None, ...]


def list_rows(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    shown: I64,
    written: Mapping[int, ClusterAnnotations],
    columns: Sequence[AnyArray] = (),
    why: Callable[[int], Why] | None = None,
) -> Iterator[Row]:
    """Yield the rows of the clusters ``shown`` of a clustering, in their order.

    written: what people wrote, by the place in the clustering. columns: further numbers [cluster].
    why: what a search found in a cluster, by its place in the clustering.
    """
    best = best_contexts(snapshot, shown[snapshot.firing_tokens[shown] > 0].tolist())
    bins = snapshot.once(("bins", clustering.first), lambda: _bins(snapshot, clustering))
    made = made_labels_of(snapshot)
    for cluster in shown.tolist():
        members = snapshot.members(cluster)
        mean = float(snapshot.means[cluster])
        yield Row(
            number=cluster,
            label=snapshot.label(cluster),
            members=tuple(members[:4]),
            size=len(members),
            status=snapshot.status(cluster),
            density=float(snapshot.densities[cluster]),
            firing_tokens=int(snapshot.firing_tokens[cluster]),
            mean=_finite(mean),
            high=float(snapshot.high[cluster]),
            spark=tuple(snapshot.histogram[cluster, bins].tolist()),
            best=best.get(cluster),
            peaks=peaks_of(snapshot, cluster),
            examples=int(np.diff(snapshot.examples.first[cluster : cluster + 2])[0]),
            written=written.get(cluster - clustering.first),
            made=made.of(cluster),
            why=why(cluster - clustering.first) if why else (0, 0, 0),
            more=tuple(_finite(values[cluster]) for values in columns),
        )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _bins(snapshot: LoadedSnapshot, clustering: LoadedClustering) -> slice:
    """Return the bins of the histogram that hold something anywhere, and those between."""
    filled = np.flatnonzero(snapshot.histogram[clustering.first : clustering.stop].any(axis=0))
    return slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0)
