"""Ranking at random: a uniform sample of the rows in which a cluster is active."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from consumers.rankings.ranking import (
    Candidates,
    PlainRow,
    PlainScore,
    Ranking,
    candidates_of_rows,
)
from consumers.rankings.row_hash import plain_priority, priorities
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Random(Ranking):
    """Rows by a hash of sample and cluster; shown are their largest activations."""

    name: ClassVar[str] = "random@1"
    meaning: ClassVar[str] = "largest activation of a row that was chosen by hash"

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose hash is small enough."""
        return candidates_of_rows(activity, priorities(activity), least)

    def candidates_on_device(self, activity: "DeviceActivity", least: F32, k: int) -> Candidates:
        """Return the same from tensors, bit for bit, without what k samples of the batch beat."""
        from consumers.rankings import ranked_on_device, row_hash_on_device

        score = row_hash_on_device.priorities(activity)
        return ranked_on_device.candidates_of_rows(activity, score, least, k)

    def shown(self, score: F32, at_peak: F32) -> F32:
        """Return the activation, not the hash."""
        return at_peak

    def recompute(self, row: PlainRow) -> PlainScore:
        """Return the hash, and the first of the largest activations."""
        peak = int(np.argmax(row.activity))
        return PlainScore(plain_priority(row), peak, float(row.activity[peak]))
