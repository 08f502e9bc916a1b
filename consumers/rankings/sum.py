"""Ranking by the sum of a row's activations."""

from typing import ClassVar

import numpy as np

from consumers.rankings.ranking import (
    Candidates,
    PlainRow,
    PlainScore,
    Ranking,
    candidates_of_rows,
)
from consumers.rankings.row_sums import plain_sum, row_sums
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32


class Sum(Ranking):
    """Rows by the sum of their activations; the peak is that of the largest."""

    name: ClassVar[str] = "sum@1"
    meaning: ClassVar[str] = "sum of the row's activations"

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose sum is large enough."""
        return candidates_of_rows(activity, row_sums(activity).astype(np.float32), least)

    def recompute(self, row: PlainRow) -> PlainScore:
        """Return the sum and the first of the largest."""
        total = float(np.float32(plain_sum(row)))
        return PlainScore(total, int(np.argmax(row.activity)), total)
