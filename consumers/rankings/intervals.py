"""Rows at random from every interval of activation: a bin of the histogram each."""

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


class Intervals(Ranking):
    """Of the rows whose largest activation lies in a bin of the histogram, k chosen by hash.

    A table per bin, the highest bin first. Every bin is a uniform sample of its rows, so that whole
    bins together are one of a band, weighted by the rows that the bins have.
    """

    name: ClassVar[str] = "intervals@1"
    meaning: ClassVar[str] = (
        "largest activation of a row that was chosen by hash among those of its histogram bin"
    )
    usual_k: ClassVar[int | None] = 5

    def tables(self, edges: F32) -> int:
        """Return the number of bins: one below the first edge, one from each edge on."""
        return len(edges) + 1

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows whose hash is small enough for their bin."""
        edges = activity.clusters.run.edges
        bins = np.searchsorted(edges, activity.rows.maximum, side="right")
        table = (len(edges) - bins).astype(np.uint32)
        return candidates_of_rows(activity, priorities(activity), least, table)

    def candidates_on_device(self, activity: "DeviceActivity", least: F32, k: int) -> Candidates:
        """Return the same from tensors, bit for bit, without what k samples of the batch beat."""
        from consumers.rankings import ranked_on_device, row_hash_on_device

        score = row_hash_on_device.priorities(activity)
        table = ranked_on_device.intervals(activity)
        return ranked_on_device.candidates_of_rows(activity, score, least, k, table)

    def shown(self, score: F32, at_peak: F32) -> F32:
        """Return the activation, not the hash."""
        return at_peak

    def recompute(self, row: PlainRow) -> PlainScore:
        """Return the hash, the first of the largest activations, and its bin."""
        peak = int(np.argmax(row.activity))
        largest = float(row.activity[peak])
        above = sum(largest < edge for edge in row.edges)
        return PlainScore(plain_priority(row), peak, largest, above)
