"""Bands of activation: unions of whole bins of the run's histogram, with examples of each."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TypeVar

from downstream.reading.examples import Example, Examples

RANKING = "intervals"
T = TypeVar("T")


@dataclass(frozen=True)
class Band:
    """Rows whose largest activation lies from ``low`` on and below ``high``, both edges of bins.

    Of its bins, which are uniform samples of their rows, examples take turns, the highest first.
    """

    low: float
    high: float
    examples: Examples


def bands_of(
    examples: Sequence[Example], edges: Sequence[float], highest: float, count: int, k: int
) -> list[Band]:
    """Return up to ``count`` bands, the highest first, of at most k examples each.

    examples: of the ranking ``intervals``. edges: of the run's bins. highest: the cluster's largest
    activation. A bin belongs to the band, of so many equal parts of that, that its lower edge lies
    in. A band without examples is left out.
    """
    if not examples:
        return []
    bins: dict[int, list[Example]] = {}
    for each in examples:
        bins.setdefault(bisect_right(edges, each.score), []).append(each)
    lowest = [0.0, *edges]
    band_of = [min(int(low / highest * count), count - 1) for low in lowest]
    found = []
    for band in sorted({band_of[bin_] for bin_ in bins}, reverse=True):
        whole = [bin_ for bin_, other in enumerate(band_of) if other == band]
        top = lowest[whole[-1] + 1] if whole[-1] + 1 < len(lowest) else float("inf")
        lists = (bins[bin_] for bin_ in reversed(whole) if bin_ in bins)
        found.append(Band(lowest[whole[0]], top, Examples([*_in_turn(lists)][:k])))
    return found


def _in_turn(lists: Iterator[list[T]]) -> Iterator[T]:
    turns = chain.from_iterable(zip_longest(*lists))
    return (each for each in turns if each is not None)
