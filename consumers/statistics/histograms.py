"""Histograms per cluster: how often each bin occurs among entries that come cluster by cluster."""

import numpy as np

from consumers.compiled import compiled
from consumers.statistics.counter_merge import Counts
from streams.arrays import I64, AnyArray


def histograms(begin: I64, bins: I64, at: I64, width: int) -> Counts:
    """Return addresses, ascending, and counts of the bins that occur.

    begin [cluster + 1]: cluster c has entries begin[c] to begin[c + 1] - 1. bins [entry]: 0 to
    ``width`` - 1. at [cluster]: the address of bin 0.
    """
    count_at, count = np.empty(len(bins), np.int64), np.empty(len(bins), np.int64)
    found = _histograms(begin, bins, at, np.zeros(width, np.int64), count_at, count)
    return count_at[:found], count[:found]


@compiled
def _histograms(
    begin: I64, bins: I64, at: I64, counts: AnyArray, count_at: AnyArray, count: AnyArray
) -> int:
    n = 0
    for cluster in range(len(begin) - 1):
        lowest, highest = len(counts), -1
        for entry in range(begin[cluster], begin[cluster + 1]):
            counts[bins[entry]] += 1
            lowest, highest = min(lowest, bins[entry]), max(highest, bins[entry])
        for bin_ in range(lowest, highest + 1):
            if counts[bin_]:
                count_at[n], count[n] = at[cluster] + bin_, counts[bin_]
                counts[bin_] = 0
                n += 1
    return n
