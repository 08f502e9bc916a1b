"""The loop of the activation statistic: counters, histogram bins, fixed-point sums and extremes."""

from functools import lru_cache

import numpy as np

from consumers.compiled import compiled
from consumers.statistics.activity import ClusterTokens
from streams.arrays import F32, I32, I64, U64, AnyArray

_LOOK_UP = 2**15  # the upper half of a positive float's bits
_INFINITE = 0x7F80  # that of infinity; no activity is
_ALL_BUT_SIGN = np.int32(0x7FFFFFFF)


def counted(
    tokens: ClusterTokens,
    row_begin: I64,
    edges: F32,
    sum_bits: int,
    at_tokens: I64,
    at_rows: I64,
    at_bins: I64,
) -> tuple[I64, I64, I64, I64, F32, F32]:
    """Return addresses of counters, ascending, and what is added there; then the clusters that
    are active, and their sums, minima and maxima.

    row_begin [cluster + 1]: how many rows the clusters before each are active in. at_*: addresses.
    """
    firing = np.flatnonzero(np.diff(tokens.first))
    bins = len(edges) + 1
    most = min(3 * len(tokens.token), len(firing) * (2 + bins)) + 1  # one more is written
    count_at, count = np.empty(most, np.int64), np.empty(most, np.int64)
    sums = np.empty(len(firing), np.int64)
    low, high = np.empty(len(firing), np.float32), np.empty(len(firing), np.float32)
    counters = _count(
        firing,
        tokens.first.view(np.uint64),
        tokens.activity,
        row_begin,
        np.r_[edges, np.float32(np.inf)].astype(np.float32),
        *_first_bins(edges.astype(np.float32).tobytes()),
        2.0**sum_bits,
        at_tokens,
        at_rows,
        at_bins,
        np.zeros(bins, np.int64),
        count_at,
        count,
        sums,
        low,
        high,
    )
    return count_at[:counters], count[:counters], firing, sums, low, high


def bins_of(activity: F32, edges: F32) -> I64:
    """Return the histogram bin of each activation: how many of the edges are not above it."""
    looked_up, _ = _first_bins(edges.astype(np.float32).tobytes())
    found = np.empty(len(activity), np.int64)
    upper = np.r_[edges, np.float32(np.inf)].astype(np.float32)
    _bins_of(activity, activity.view(np.int32), upper, looked_up, found)
    return found


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
def _bins_of(activity: F32, bits: I32, edges: F32, first_bins: I32, found: AnyArray) -> None:
    for at in range(len(activity)):
        found[at] = _bin(activity[at], bits[at], edges, first_bins)


@compiled
def _count(
    firing: I64,
    first: U64,
    activity: F32,
    row_begin: I64,
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
) -> int:
    # Several short loops: each does many entries at a time, or waits for nothing but itself.
    # Unsigned indices spare the check for negative ones.
    bits = activity.view(np.int32)
    n = 0
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
        count_at[n], count[n] = at_tokens[cluster], end - begin
        rows = row_begin[cluster + 1] - row_begin[cluster]
        count_at[n + 1], count[n + 1] = at_rows[cluster], rows
        n += 2
        lowest = _bin(low[i], _ordered(smallest), edges, first_bins)
        highest = _bin(high[i], _ordered(largest), edges, first_bins)
        for number in range(lowest, highest + 1):
            count_at[n], count[n] = at_bins[cluster] + number, bins[number]
            n += bins[number] > 0
            bins[number] = 0
    return n
