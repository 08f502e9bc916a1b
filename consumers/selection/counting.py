"""One pass over the tokens at which clusters fire: counters, sums, extremes and each row's peak."""

from dataclasses import dataclass

import numpy as np

from consumers.compiled import compiled
from consumers.selection.membership import ClusterTokens
from streams.arrays import F32, I32, I64, U32, AnyArray
from streams.plan import Plan

_LOOK_UP = 2**15  # the upper half of a positive float's bits


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What the tokens of a batch add.

    count_at, count: counters of tokens, rows and bins, addresses ascending. cluster, sum, low,
    high: of the clusters that fire. peak [cluster and row that fire together, strongly enough]: the
    first strongest token, as an index into the tokens. peak_cluster: whose it is.
    """

    count_at: I64
    count: I64
    cluster: I64
    sum: I64
    low: F32
    high: F32
    peak: I64
    peak_cluster: U32


def counted(plan: Plan, tokens: ClusterTokens, shape: tuple[int, int], least: F32) -> Counted:
    """Return what clusters add at the tokens where they fire, in a batch [row, position].

    least [cluster]: the lowest activity of a peak that is to be told.
    """
    firing = np.flatnonzero(np.diff(tokens.first))
    row_of = np.repeat(np.arange(shape[0], dtype=np.int32), shape[1])  # no division per token
    size = len(tokens.token)
    most = min(3 * size, len(firing) * (2 + plan.bins))
    count_at, count = np.empty(most, np.int64), np.empty(most, np.int64)
    peak, peak_cluster = np.empty(size, np.int64), np.empty(size, np.uint32)
    sums = np.empty(len(firing), np.int64)
    low, high = np.empty(len(firing), np.float32), np.empty(len(firing), np.float32)
    edges = plan.run.edges
    counters, peaks = _count(
        firing,
        tokens.first,
        tokens.token,
        tokens.activity,
        row_of,
        edges,
        _first_bins(edges),
        2.0**plan.run.sum_bits,
        plan.at_tokens,
        plan.at_rows,
        plan.at_bins,
        np.zeros(plan.bins, np.int64),
        count_at,
        count,
        sums,
        low,
        high,
        least,
        peak,
        peak_cluster,
    )
    told = peak[:peaks].copy(), peak_cluster[:peaks].copy()
    return Counted(count_at[:counters], count[:counters], firing, sums, low, high, *told)


def _first_bins(edges: F32) -> I32:
    """Return, for the upper 16 bits of a positive activity, the bin of the smallest such one."""
    smallest = (np.arange(_LOOK_UP, dtype=np.uint32) << np.uint32(16)).view(np.float32)
    return np.searchsorted(edges, smallest, side="right").astype(np.int32)


@compiled
def _count(
    firing: I64,
    first: I64,
    token: I32,
    activity: F32,
    row_of: I32,
    edges: F32,
    first_bins: I32,
    unit: float,
    at_tokens: I64,
    at_rows: I64,
    at_bins: I64,
    bins: AnyArray,
    count_at: AnyArray,
    count: AnyArray,
    sums: AnyArray,
    low: AnyArray,
    high: AnyArray,
    least: F32,
    peak: AnyArray,
    peak_cluster: AnyArray,
) -> tuple[int, int]:
    bits = activity.view(np.uint32)
    n = 0
    peaks = 0
    for i in range(len(firing)):
        cluster = firing[i]
        begin, end = first[cluster], first[cluster + 1]
        total, rows, row, best = 0, 0, np.int32(-1), begin
        smallest = largest = strongest = activity[begin]
        lowest, highest = len(bins) - 1, 0
        for at in range(begin, end):
            shown = activity[at]
            total += int(np.rint(np.float64(shown) * unit))
            smallest, largest = min(smallest, shown), max(largest, shown)
            bin_ = first_bins[bits[at] >> np.uint32(16)] if bits[at] >> np.uint32(31) == 0 else 0
            while bin_ < len(edges) and shown >= edges[bin_]:
                bin_ += 1
            bins[bin_] += 1
            lowest, highest = min(lowest, bin_), max(highest, bin_)
            # No branch: whether a row begins or rises here cannot be foreseen.
            begins = row_of[token[at]] != row
            row = row_of[token[at]]
            rows += begins
            rises = begins | (shown > strongest)
            strongest = shown if rises else strongest
            best = at if rises else best
            peak[peaks + rows - 1] = best
        count_at[n], count[n] = at_tokens[cluster], end - begin
        count_at[n + 1], count[n + 1] = at_rows[cluster], rows
        for at in range(peaks, peaks + rows):
            peak[peaks], peak_cluster[peaks] = peak[at], cluster
            peaks += activity[peak[at]] >= least[cluster]
        n += 2
        for bin_ in range(lowest, highest + 1):
            if bins[bin_]:
                count_at[n], count[n] = at_bins[cluster] + bin_, bins[bin_]
                bins[bin_] = 0
                n += 1
        sums[i], low[i], high[i] = total, smallest, largest
    return n, peaks
