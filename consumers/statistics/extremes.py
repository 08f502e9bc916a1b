"""Integer extremes: the smallest and the largest of whole numbers, kept exactly in any order.

They are keyed sums of one key whose two columns are maxima; the smallest is kept as what it lacks
of the largest integer. Only clusters that something was added to take space.
"""

import numpy as np

from consumers.statistics.accumulators import Keyed
from consumers.statistics.contributions import KeySums
from streams.arrays import I64

_LARGEST = np.iinfo(np.int64).max


def extremes(name: str) -> Keyed:
    """Return an accumulator of the extremes of whole numbers from 0 to 2**63 - 1, by cluster."""
    return Keyed(name, budget=1, columns=2, maxima=2)


def extremes_added(cluster: I64, least: I64, most: I64) -> KeySums:
    """Return what a batch adds: of each of these clusters, ascending, its two extremes."""
    return KeySums(
        cluster.astype(np.int64),
        np.zeros(len(cluster), np.uint64),
        np.stack([_LARGEST - least, most], axis=1),
    )


def extremes_held(found: KeySums) -> tuple[I64, I64, I64]:
    """Return the clusters that have extremes, ascending, and the smallest and largest of each."""
    return found.cluster, _LARGEST - found.value[:, 0], found.value[:, 1]
