"""Ranking by the mean activation of a row."""

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


class Mean(Ranking):
    """Rows by their mean activation over all valid tokens; 0 counts where it is not active."""

    name: ClassVar[str] = "mean@1"
    meaning: ClassVar[str] = "mean activation over the valid tokens of the row"

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose mean is large enough."""
        tokens = np.count_nonzero(activity.valid, axis=1)[activity.rows.row]
        means = (row_sums(activity) / tokens).astype(np.float32)
        return candidates_of_rows(activity, means, least)

    def recompute(self, row: PlainRow) -> PlainScore:
        """Return the mean and the position of the first of the largest."""
        mean = float(np.float32(plain_sum(row) / int(np.sum(row.valid))))
        return PlainScore(mean, int(np.argmax(row.activity)), mean)
