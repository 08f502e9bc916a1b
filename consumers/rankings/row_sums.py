"""Sums of activation over a row: float64, from the first token on, so that they repeat exactly."""

import numpy as np

from consumers.compiled import compiled
from consumers.rankings.ranking import PlainRow
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32, F64, I64, AnyArray


def row_sums(activity: ClusterActivity) -> F64:
    """Return the sum of the activations of each of ``activity.rows``."""
    rows = activity.rows
    sums = np.empty(len(rows), np.float64)
    _row_sums(rows.first, rows.stop, activity.tokens.activity, sums)
    return sums


def plain_sum(row: PlainRow) -> float:
    """Return the same of one row."""
    total = 0.0
    for value in row.activity.tolist():  # not by sum(), which compensates for rounding
        total += value if value > 0 else 0.0
    return total


@compiled
def _row_sums(first: I64, stop: I64, activity: F32, sums: AnyArray) -> None:
    for row in range(len(first)):
        total = 0.0
        for at in range(first[row], stop[row]):
            total += np.float64(activity[at])
        sums[row] = total
