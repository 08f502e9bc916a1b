"""How far a narrow dtype moves results, seen on a sample: sets of the best rows, and values."""

from dataclasses import dataclass

import numpy as np

from consumers.activations.engine import Activations
from consumers.plan import Plan
from consumers.run_clusters import activity_of
from streams.arrays import F32, Bool

TOP = 20


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed between two computations of the same rows.

    components: those that fire in either. top_sets: share of them whose TOP strongest rows are the
    same rows. largest: the largest difference of a row's maximum, relative to the largest activity
    of its component; typical: the median over components of each one's largest.
    """

    rows: int
    components: int
    top_sets: float
    largest: float
    typical: float


def row_maxima(plan: Plan, found: Activations, rows: int) -> F32:
    """Return the largest activity [component, row] that fires; 0 where none does."""
    activity, fires = activity_of(plan, found.component, found.value)
    out = np.zeros((plan.components, rows), np.float32)
    at = found.component[fires] * rows + found.row[fires]
    np.maximum.at(out.reshape(-1), at, activity[fires])
    return out


def drift(exact: F32, other: F32) -> Drift:
    """Return how ``other`` differs from ``exact``, both maxima [component, row], not negative.

    A component that fires in neither counts nowhere; none at all is no difference.
    """
    strongest = np.maximum(exact.max(axis=1, initial=0), other.max(axis=1, initial=0))
    live = strongest > 0
    if not live.any():
        return Drift(exact.shape[1], 0, 1.0, 0.0, 0.0)
    exact, other, strongest = exact[live], other[live], strongest[live]
    same = (top_rows(exact) == top_rows(other)).all(axis=1)
    moved = np.abs(exact - other).max(axis=1) / strongest
    return Drift(
        rows=exact.shape[1],
        components=len(exact),
        top_sets=float(same.mean()),
        largest=float(moved.max()),
        typical=float(np.median(moved)),
    )


def top_rows(maxima: F32, k: int = TOP) -> Bool:
    """Return, [component, row], which rows are a component's k strongest; at a tie, the first."""
    order = np.argsort(-maxima, axis=1, kind="stable")[:, :k]
    chosen = np.zeros(maxima.shape, bool)
    np.put_along_axis(chosen, order, True, axis=1)
    chosen &= maxima > 0
    return chosen
