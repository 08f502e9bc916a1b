"""Features that tell two groups of texts apart: AUROC, mean difference, intervals and tests.

AUROC is the Mann-Whitney statistic by midranks. Its p-value is the normal approximation with the
corrections for ties and continuity, its interval method 5 of Newcombe (Statistics in Medicine 2006,
25:559), which does not collapse at an AUROC of 1. The difference of means has Welch's t interval.
"""

from dataclasses import dataclass

import numpy as np

from consumers.asking.text_scores import TextScores
from streams.arrays import F64, I64, AnyArray, Bool

_HALVINGS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Separations:
    """How far components tell texts apart, [component]: see ``streams.asking.concept``.

    active_with, active_without: shares of texts on which they are active.
    """

    auroc: F64
    auroc_low: F64
    auroc_high: F64
    difference: F64
    difference_low: F64
    difference_high: F64
    p: F64
    active_with: F64
    active_without: F64


def separations(
    scores: TextScores, components: int, present: Bool, used: Bool, level: float
) -> Separations:
    """Return how far each of ``components`` components tells texts apart.

    present: texts with the concept, [text]. used: those that are looked at, at least two of either
    side. level: 1 minus the confidence of the intervals.
    """
    keep = used[scores.text]
    component, score = scores.component[keep], scores.score[keep]
    inside = present[scores.text[keep]]
    n1, n0 = int((present & used).sum()), int((~present & used).sum())
    u, ties = _mann_whitney(component, score, inside, components, n1, n0)
    auroc = u / (n1 * n0)
    low, high = auroc_interval(auroc, n1, n0, level)
    one, other = (
        _moments(component[own], score[own], components, n)
        for own, n in ((inside, n1), (~inside, n0))
    )
    difference, margin = _welch(one, other, (n1, n0), level)
    active = [np.bincount(component[own], minlength=components) for own in (inside, ~inside)]
    return Separations(
        auroc,
        low,
        high,
        difference,
        difference - margin,
        difference + margin,
        _two_sided(u, ties, n1, n0),
        active[0] / n1,
        active[1] / n0,
    )


def auroc_interval(auroc: F64, n1: int, n0: int, level: float) -> tuple[F64, F64]:
    """Return the ends of Newcombe's interval of an AUROC from n1 and n0 texts."""
    from scipy.stats import norm

    z = float(norm.ppf(1 - level / 2))
    half = (n1 + n0) / 2 - 1

    def outside(at: F64) -> Bool:
        spread = at * (1 - at) * (1 + half * ((1 - at) / (2 - at) + at / (1 + at)))
        found: Bool = np.abs(auroc - at) > z * np.sqrt(spread / (n1 * n0))
        return found

    ends = []
    for limit in (0.0, 1.0):
        far, near = np.full_like(auroc, limit), auroc.copy()
        for _ in range(_HALVINGS):
            middle = (far + near) / 2
            out = outside(middle)
            far, near = np.where(out, middle, far), np.where(out, near, middle)
        ends.append(np.where(auroc == limit, limit, near))
    return ends[0], ends[1]


def _mann_whitney(
    component: I64, score: F64, inside: Bool, components: int, n1: int, n0: int
) -> tuple[F64, F64]:
    """Return U [component] of the texts inside, and the sum of t^3 - t over groups of ties."""
    order = np.lexsort((score, component))
    component, score, inside = component[order], score[order], inside[order]
    held = np.bincount(component, minlength=components)
    zeros = n1 + n0 - held
    begins = np.flatnonzero(
        (np.diff(component, prepend=-1) != 0) | (np.diff(score, prepend=0.0) != 0)
    )
    size = np.diff(np.r_[begins, len(component)])
    first = begins - np.searchsorted(component, component[begins])
    rank = zeros[component[begins]] + first + (size + 1) / 2  # of each group of ties, from 1 on
    inside_zeros = n1 - np.bincount(component[inside], minlength=components)
    ranks = np.bincount(component[inside], np.repeat(rank, size)[inside], components)
    u = ranks + inside_zeros * (zeros + 1) / 2 - n1 * (n1 + 1) / 2
    ties = np.bincount(component[begins], _cubes(size), components) + _cubes(zeros)
    return u, ties


def _cubes(size: AnyArray) -> F64:
    large = size.astype(np.float64)
    found: F64 = large**3 - large
    return found


def _two_sided(u: F64, ties: F64, n1: int, n0: int) -> F64:
    """Return the p-value of U, 1 where all numbers are equal."""
    from scipy.stats import norm

    n = n1 + n0
    variance = n1 * n0 / 12 * (n + 1 - ties / (n * (n - 1)))
    off = np.maximum(np.abs(u - n1 * n0 / 2) - 0.5, 0)
    some = variance > 1e-9 * n1 * n0
    z = off / np.sqrt(np.where(some, variance, 1.0))
    p: F64 = np.where(some, np.minimum(2 * norm.sf(z), 1.0), 1.0)
    return p


def _moments(component: I64, score: F64, components: int, n: int) -> tuple[F64, F64]:
    """Return mean and variance (of n - 1) of a side's n texts, [component]."""
    mean = np.bincount(component, score, components) / n
    zeros = n - np.bincount(component, minlength=components)
    squares = np.bincount(component, (score - mean[component]) ** 2, components)
    return mean, (squares + zeros * mean**2) / (n - 1)


def _welch(
    one: tuple[F64, F64], other: tuple[F64, F64], sizes: tuple[int, int], level: float
) -> tuple[F64, F64]:
    """Return the difference of means and half the width of its interval."""
    from scipy.stats import t

    parts = [variance / n for (_, variance), n in zip((one, other), sizes, strict=True)]
    total = parts[0] + parts[1]
    some = total > 0
    under = sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    freedom = np.where(some, total, 1.0) ** 2 / np.where(some, under, 1.0)
    margin: F64 = np.where(some, t.ppf(1 - level / 2, freedom) * np.sqrt(total), 0.0)
    return one[0] - other[0], margin
