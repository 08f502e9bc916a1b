"""Ranking by the activation at the last valid token of a row."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from consumers.rankings.ranking import Candidates, PlainRow, PlainScore, Ranking
from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Last(Ranking):
    """Rows by their activation at the last valid token; rows that are not active there are none."""

    name: ClassVar[str] = "last@1"
    meaning: ClassVar[str] = "activation at the last valid token of the row"

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose last valid token is active enough."""
        tokens, valid = activity.tokens, activity.valid
        rows, positions = valid.shape
        last = positions - 1 - np.argmax(valid[:, ::-1], axis=1)
        is_last = np.zeros(valid.size, dtype=bool)
        is_last[np.arange(rows) * positions + last] = True
        at = np.flatnonzero(is_last[tokens.token])
        cluster = np.searchsorted(tokens.first, at, side="right") - 1
        found = np.flatnonzero(tokens.activity[at] >= least[cluster, 0])
        at = at[found]
        return Candidates(cluster[found].astype(np.uint32), tokens.activity[at], tokens.token[at])

    def candidates_on_device(self, activity: "DeviceActivity", least: F32, k: int) -> Candidates:
        """Return the same from tensors, bit for bit, without what k samples of the batch beat."""
        from consumers.rankings import ranked_on_device

        return ranked_on_device.lasts(activity, least, k)

    def recompute(self, row: PlainRow) -> PlainScore | None:
        """Return the last valid position if it is active."""
        peak = int(np.flatnonzero(row.valid)[-1])
        score = float(row.activity[peak])
        return PlainScore(score, peak, score) if score > -np.inf else None
