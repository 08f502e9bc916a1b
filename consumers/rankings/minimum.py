"""Ranking by the smallest signed value of a row, where a source takes absolute values."""

from typing import ClassVar

import numpy as np

from consumers.rankings.ranking import Candidates, PlainRow, PlainScore, Ranking
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32, I64
from streams.records.hits import ranges


class Minimum(Ranking):
    """Rows by the smallest value below 0 with which a member is active, smallest first.

    Only members of sources that take absolute values have such values; a cluster without one has
    no examples by it.
    """

    name: ClassVar[str] = "minimum@1"
    meaning: ClassVar[str] = "smallest signed value of the row, below 0"

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows with a value that is small enough."""
        cluster, at = _below_zero(activity)
        score, token = activity.runs.activity[at], activity.runs.token[at]
        row = token // np.int32(activity.valid.shape[1])
        order = np.lexsort((token, -score, row, cluster))
        of_row = cluster[order] * len(activity.valid) + row[order]
        first = order[np.diff(of_row, prepend=-1) > 0]
        found = first[score[first] >= least[cluster[first], 0]]
        return Candidates(cluster[found].astype(np.uint32), score[found], token[found])

    def shown(self, score: F32, at_peak: F32) -> F32:
        """Return the value with its sign."""
        return -score

    def recompute(self, row: PlainRow) -> PlainScore | None:
        """Return the smallest value and the first position that has it."""
        values = [v for v, both in zip(row.values, row.both_signs, strict=True) if both]
        if not values:
            return None
        lowest = np.min(values, axis=0)
        peak = int(np.argmin(lowest))
        value = float(lowest[peak])
        return PlainScore(-value, peak, value) if value < 0 else None


def _below_zero(activity: ClusterActivity) -> tuple[I64, I64]:
    """Return the entries of ``activity.runs`` below 0 that are active, and their clusters."""
    clusters, runs = activity.clusters, activity.runs
    lengths = np.diff(runs.first)[clusters.members]
    at = ranges(runs.first[clusters.members], lengths)
    sizes = np.diff(clusters.member_first)
    cluster = np.repeat(np.repeat(np.arange(len(sizes)), sizes), lengths)
    both_signs = np.repeat(clusters.sign[clusters.members] == 0, lengths)
    found = np.flatnonzero(both_signs & (runs.value[at] < 0) & (runs.activity[at] > -np.inf))
    return cluster[found], at[found]
