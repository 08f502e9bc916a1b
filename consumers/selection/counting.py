"""One pass over active tokens: histogram bins, counters, fixed-point sums, extremes, row peaks."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from consumers.compiled import compiled
from consumers.plan import Plan
from consumers.selection.membership import ClusterTokens
from streams.arrays import F32, I32, I64, U32, U64, AnyArray

_LOOK_UP = 2**15  # the upper half of a positive float's bits
_INFINITE = 0x7F80  # that of infinity; no activity is
_ALL_BUT_SIGN = np.int32(0x7FFFFFFF)


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

    least [cluster]: the lowest activity of a peak that is to be reported.
    """
    firing = np.flatnonzero(np.diff(tokens.first))
    row_of = np.repeat(np.arange(shape[0], dtype=np.int32), shape[1])  # no division per token
    size = len(tokens.token)
    most = min(3 * size, len(firing) * (2 + plan.bins)) + 1  # one more is written than counts
    count_at, count = np.empty(most, np.int64), np.empty(most, np.int64)
    peak, peak_cluster = np.empty(size, np.int64), np.empty(size, np.uint32)
    sums = np.empty(len(firing), np.int64)
    low, high = np.empty(len(firing), np.float32), np.empty(len(firing), np.float32)
    counters, peaks = _count(
        firing,
        tokens.first.view(np.uint64),
        tokens.token.view(np.uint32),
        tokens.activity,
        row_of,
        np.r_[plan.run.edges, np.float32(np.inf)].astype(np.float32),
        *_first_bins(plan.run.edges.astype(np.float32).tobytes()),
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
    peaks_found = peak[:peaks].copy(), peak_cluster[:peaks].copy()
    return Counted(count_at[:counters], count[:counters], firing, sums, low, high, *peaks_found)


@lru_cache(maxsize=8)  # the edges are those of the run
def _first_bins(edges: bytes) -> tuple[I32, bool]:
    """Return, for the upper 16 bits of a positive activity, the bin of the smallest such one.

    And whether the bin of each such activity is that one or the next.
    """
    smallest = (np.arange(_LOOK_UP + 1, dtype=np.uint32) << np.uint32(16)).view(np.float32)
    first = np.searchsorted(np.frombuffer(edges, np.float32), smallest[:-1], side="right")
    last = np.searchsorted(np.frombuffer(edges, np.float32), smallest[1:], side="left")
    near = bool((last - first <= 1)[:_INFINITE].all())
    return first.astype(np.int32), near


@compiled
def _ordered(bits: np.int32) -> np.int32:
    """Return an integer that is ordered like the float32 of these bits, or turn it back."""
    return bits if bits >= 0 else bits ^ _ALL_BUT_SIGN


@compiled
def _bin(shown: np.float32, bits: np.int32, edges: F32, first_bins: I32) -> int:
    bin_ = np.int64(first_bins[bits >> 16]) if bits >= 0 else np.int64(0)
    while shown >= edges[bin_]:  # the last edge is infinite
        bin_ += 1
    return int(bin_)


@compiled
def _count(
    firing: I64,
    first: U64,
    token: U32,
    activity: F32,
    row_of: I32,
    edges: F32,
    first_bins: I32,
    near: bool,
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
    # Several short loops: each does many entries at a time, or waits for nothing but itself.
    # Unsigned indices spare the check for negative ones.
    bits, one = activity.view(np.int32), np.uint64(1)
    n = 0
    peaks = np.uint64(0)
    for i in range(len(firing)):
        cluster = firing[i]
        begin, end = first[cluster], first[cluster + 1]
        total = 0
        smallest = largest = _ordered(bits[begin])
        for at in range(begin, end):
            total += int(np.rint(np.float64(activity[at]) * unit))
            smallest, largest = min(smallest, _ordered(bits[at])), max(largest, _ordered(bits[at]))
        low.view(np.int32)[i], high.view(np.int32)[i] = _ordered(smallest), _ordered(largest)
        sums[i] = total
        if near and smallest >= 0:
            for at in range(begin, end):
                bin_ = np.uint64(first_bins[np.uint32(bits[at]) >> np.uint32(16)])
                bins[bin_ + np.uint64(activity[at] >= edges[bin_])] += 1
        else:
            for at in range(begin, end):
                bins[_bin(activity[at], bits[at], edges, first_bins)] += 1
        # No branch: whether a row begins or rises here cannot be foreseen. A later row is above
        # all of an earlier one, so that one maximum serves both.
        last_peak, best, row, strongest = peaks - one, begin, np.int32(-1), np.int64(-(2**62))
        for at in range(begin, end):
            here = row_of[token[at]]
            last_peak += np.uint64(here != row)
            row = here
            height = (np.int64(here) << 32) + np.int64(_ordered(bits[at]))
            best = at if height > strongest else best
            strongest = max(strongest, height)
            peak[last_peak] = best
        count_at[n], count[n] = at_tokens[cluster], end - begin
        count_at[n + 1], count[n + 1] = at_rows[cluster], last_peak + one - peaks
        n += 2
        for at in range(peaks, last_peak + one):
            peak[peaks], peak_cluster[peaks] = peak[at], cluster
            peaks += np.uint64(activity[peak[at]] >= least[cluster])
        lowest = _bin(low[i], _ordered(smallest), edges, first_bins)
        highest = _bin(high[i], _ordered(largest), edges, first_bins)
        for number in range(lowest, highest + 1):
            count_at[n], count[n] = at_bins[cluster] + number, bins[number]
            n += bins[number] > 0
            bins[number] = 0
    return n, int(peaks)
