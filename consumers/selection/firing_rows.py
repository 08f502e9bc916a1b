"""Firing rows: the rows in which each cluster is active, with peak and maximum, in one pass."""

import numpy as np

from consumers.compiled import compiled
from consumers.statistics.activity import ClusterTokens, FiringRows
from streams.arrays import F32, I32, I64, U32, U64, AnyArray

_ALL_BUT_SIGN = np.int32(0x7FFFFFFF)


def firing_rows(tokens: ClusterTokens, rows: int, positions: int) -> FiringRows:
    """Return the rows in which clusters fire, in a batch [row, position]."""
    row_of = np.repeat(np.arange(rows, dtype=np.int32), positions)  # no division per token
    size = len(tokens.token)
    begin = np.zeros(len(tokens.first), np.int64)
    cluster, row = np.empty(size, np.uint32), np.empty(size, np.int32)
    stop, peak = np.empty(size, np.int64), np.empty(size, np.int64)
    maximum = np.empty(size, np.float32)
    found = _firing_rows(
        tokens.first.view(np.uint64),
        tokens.token.view(np.uint32),
        tokens.activity,
        row_of,
        begin,
        cluster,
        row,
        stop,
        maximum,
        peak,
    )
    return FiringRows(
        begin,
        cluster[:found],
        row[:found],
        np.r_[0, stop[: found - 1]] if found else stop[:0],
        stop[:found],
        maximum[:found],
        peak[:found],
    )


@compiled
def _firing_rows(
    first: U64,
    token: U32,
    activity: F32,
    row_of: I32,
    begin: I64,
    cluster_of: AnyArray,
    rows: AnyArray,
    stop: AnyArray,
    maximum: AnyArray,
    peak: AnyArray,
) -> int:
    # No branch: whether a row begins or rises here cannot be foreseen. A later row is above all of
    # an earlier one, so that one maximum serves both. Unsigned indices spare the check for
    # negative ones.
    bits, one = activity.view(np.int32), np.uint64(1)
    n = np.uint64(0)
    for cluster in range(len(first) - 1):
        last, best, row = n - one, first[cluster], np.int32(-1)
        strongest = np.int64(-(2**62))
        for at in range(first[cluster], first[cluster + 1]):
            here = row_of[token[at]]
            last += np.uint64(here != row)
            row = here
            ordered = bits[at] if bits[at] >= 0 else bits[at] ^ _ALL_BUT_SIGN
            height = (np.int64(here) << 32) + np.int64(ordered)
            best = at if height > strongest else best
            strongest = max(strongest, height)
            peak[last], stop[last], rows[last] = best, at + one, here
        for number in range(n, last + one):
            cluster_of[number] = cluster
            maximum[number] = activity[peak[number]]
        n = last + one
        begin[cluster + 1] = n
    return int(n)
