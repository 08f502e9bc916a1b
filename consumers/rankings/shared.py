"""Rows of smallest sample key, the same for all clusters: where one is not listed, it is silent."""

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
from streams.arrays import F32, U8

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Shared(Ranking):
    """Rows in the order of their sample keys, which are hashes: a random choice, made once for all.

    Up to the largest key of a full table, and everywhere if it is not full, a table has every row
    in which the cluster is active. Rows that other clusters list there and this one does not are
    verified silent contexts: see ``downstream/reading/silent.py``. It is a coordinated bottom-k
    sample (Cohen and Kaplan 2007).
    """

    name: ClassVar[str] = "shared@1"
    meaning: ClassVar[str] = "largest activation of a row that was chosen by its sample key alone"
    usual_k: ClassVar[int | None] = 50

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose key is small enough."""
        scores = _scores(activity.batch.keys)[activity.rows.row]
        return candidates_of_rows(activity, scores, least)

    def candidates_on_device(self, activity: "DeviceActivity", least: F32, k: int) -> Candidates:
        """Return the same from tensors, bit for bit, without what k samples of the batch beat."""
        from consumers.rankings import ranked_on_device

        score = ranked_on_device.of_rows(activity, _scores(activity.batch.keys))
        return ranked_on_device.candidates_of_rows(activity, score, least, k)

    def shown(self, score: F32, at_peak: F32) -> F32:
        """Return the activation, not the key."""
        return at_peak

    def recompute(self, row: PlainRow) -> PlainScore:
        """Return minus the beginning of the key, and the first of the largest activations."""
        peak = int(np.argmax(row.activity))
        begins = int.from_bytes(row.sample[:8], "big") >> 11
        return PlainScore(float(-np.float32(begins)), peak, float(row.activity[peak]))


def _scores(keys: U8) -> F32:
    """Return the score of each row, minus the beginning of its key; keys: [row, 16]."""
    high = np.ascontiguousarray(keys).view(">u8")[:, 0].astype(np.uint64)
    # Rounding keeps the order, and the key itself settles ties.
    scores: F32 = -(high >> np.uint64(11)).astype(np.float64).astype(np.float32)
    return scores
