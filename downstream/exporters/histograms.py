"""Histograms of activation in the forms of other tools, from the bins of a run.

A run counts in bins that it fixed beforehand, and its smallest and largest activations are exact.
Within a bin the tokens are taken to be spread evenly: counts of other bins, and quantiles, are off
by what lies in one bin of the run, and the total is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from streams.arrays import F64

BARS = 50


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of equal width. edges: one more than counts; none at all where nothing is active."""

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def middles(self) -> list[float]:
        """The middle of each bar."""
        return [(a + b) / 2 for a, b in pairwise(self.edges)]


def bars(
    numbers: Mapping[str, Any], edges: Sequence[float], most: int = BARS, silent: int | None = None
) -> Bars:
    """Return a cluster's histogram in bars of equal width from its smallest to its largest value.

    numbers: its row of ``clusters``. edges: lower edges of the run's bins. silent: how
    many tokens at which it is not active are counted, too; with it the first bar begins at 0.
    """
    counts, bounds = _filled(numbers, edges)
    total = int(counts.sum())
    if not total:
        if not silent:
            return Bars()
        return Bars(tuple(np.linspace(0, 1, most + 1).tolist()), (silent, *[0] * (most - 1)))
    low, high = float(bounds[0]) if silent is None else 0.0, float(bounds[-1])
    if low == high:
        return Bars((low, high), (total,))
    cuts = np.linspace(low, high, most + 1)
    if bounds[0] == bounds[-1]:
        below = np.where(cuts < high, 0, total)
    else:
        below = np.rint(np.interp(cuts, bounds, np.r_[0, np.cumsum(counts)])).astype(np.int64)
    inside = np.diff(below)
    inside[0] += silent or 0
    return Bars(tuple(cuts.tolist()), tuple(inside.tolist()))


def quantiles(
    numbers: Mapping[str, Any], edges: Sequence[float], shares: Sequence[float]
) -> list[float]:
    """Return the values below which these shares of a cluster's active tokens lie."""
    counts, bounds = _filled(numbers, edges)
    if not len(counts):
        return []
    total = counts.sum()
    found: F64 = np.interp(np.asarray(shares) * total, np.r_[0, np.cumsum(counts)], bounds)
    return [float(value) for value in found]


def _filled(numbers: Mapping[str, Any], edges: Sequence[float]) -> tuple[F64, F64]:
    """Return the bins from the first to the last that holds something, and their bounds."""
    counts = np.asarray(numbers["activation_histogram"], np.float64)
    filled = np.flatnonzero(counts)
    if not len(filled):
        return np.zeros(0), np.zeros(0)
    low, high = float(numbers["min_activation"]), float(numbers["max_activation"])
    bounds = np.r_[min(low, edges[0]), np.asarray(edges, np.float64), max(high, edges[-1])]
    first, stop = int(filled[0]), int(filled[-1]) + 1
    return counts[first:stop], np.clip(bounds[first : stop + 1], low, high)
