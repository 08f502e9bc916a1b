"""Bands: examples by fifths of the largest activation, picked from the ranking ``intervals``.

That ranking holds rows at random from every bin of the run's histogram. In a band its bins take
turns, the highest first, so that weak and strong rows of the band are there; with bins of unequal
numbers of rows this is no uniform sample of the band.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from downstream.exporters.histograms import bars
from streams.arrays import F64

RANKING = "intervals"
BANDS = 5


def picked(
    scores: Sequence[float], highest: float, edges: Sequence[float], most: int
) -> list[tuple[int, int]]:
    """Return the band and the place in ``scores`` of up to ``most`` examples of each band.

    scores: the largest activation of each row, in the order of the ranking. highest: that of the
    feature. edges: lower edges of the run's bins. The highest band comes first, its number is 4.
    """
    bins = np.searchsorted(edges, scores, side="right").tolist()
    found: dict[int, dict[int, list[int]]] = {}
    for place, (score, bin_) in enumerate(zip(scores, bins, strict=True)):
        band = min(int(score / highest * BANDS), BANDS - 1)
        found.setdefault(band, {}).setdefault(bin_, []).append(place)
    chosen = []
    for band in sorted(found, reverse=True):
        turns = zip_longest(*(places for _, places in sorted(found[band].items(), reverse=True)))
        places = [place for place in chain.from_iterable(turns) if place is not None]
        chosen += [(band, place) for place in places[:most]]
    return chosen


def borders(highest: float) -> list[float]:
    """Return where the bands begin, the lowest first, and where the highest ends."""
    return [highest * band / BANDS for band in range(BANDS)] + [highest]


def shares(numbers: Mapping[str, Any], edges: Sequence[float]) -> list[float]:
    """Return the share of valid tokens whose activation lies in each band, the lowest first.

    numbers: the row of ``clusters``. Tokens at which it is not active are in none.
    """
    counts: F64 = np.array(bars(numbers, edges, BANDS, silent=0).counts or [0] * BANDS, np.float64)
    firing = max(int(numbers["firing_tokens"]), 1)
    found: list[float] = (counts / firing * numbers["activation_density"]).tolist()
    return found
