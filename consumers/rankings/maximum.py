"""Ranking by the largest activation of a row: the max-activating examples of the field."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from consumers.rankings.ranking import (
    Candidates,
    PlainRow,
    PlainScore,
    Ranking,
    candidates_of_rows,
)
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Maximum(Ranking):
    """Rows by their largest activation; the peak is the first token with it."""

    name: ClassVar[str] = "maximum@1"
    meaning: ClassVar[str] = "largest activation of the row"

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose largest activation is large enough."""
        return candidates_of_rows(activity, activity.rows.maximum, least)

    def candidates_on_device(self, activity: "DeviceActivity", least: F32, k: int) -> Candidates:
        """Return the same from tensors, bit for bit, without what k samples of the batch beat."""
        from consumers.rankings import ranked_on_device

        return ranked_on_device.candidates_of_rows(activity, activity.maximum, least, k)

    def recompute(self, row: PlainRow) -> PlainScore:
        """Return the first of the largest."""
        peak = int(np.argmax(row.activity))
        return PlainScore(float(row.activity[peak]), peak, float(row.activity[peak]))
