"""Merging counters of several kinds into one list with ascending addresses."""

from collections.abc import Sequence

import numpy as np

from consumers.compiled import compiled
from streams.arrays import I64, AnyArray

Counts = tuple[I64, I64]
"""Addresses, ascending, and what is to be added there."""


def merge_counters(parts: Sequence[Counts]) -> Counts:
    """Return all of ``parts`` as one, addresses ascending; equal ones in the order of the parts."""
    found, *others = [part for part in parts if len(part[0])] or [_NONE]
    for other in others:
        size = len(found[0]) + len(other[0])
        both = np.empty(size, np.int64), np.empty(size, np.int64)
        _merge(*found, *other, *both)
        found = both
    return found


_NONE = np.zeros(0, np.int64), np.zeros(0, np.int64)


@compiled
def _merge(
    at: I64, count: I64, other_at: I64, other_count: I64, to: AnyArray, sums: AnyArray
) -> None:
    i, j, n = 0, 0, 0
    while i < len(at) or j < len(other_at):
        # In long stretches, as parts are: where these end can mostly be foreseen.
        while i < len(at) and (j == len(other_at) or at[i] <= other_at[j]):
            to[n], sums[n] = at[i], count[i]
            i, n = i + 1, n + 1
        while j < len(other_at) and (i == len(at) or other_at[j] < at[i]):
            to[n], sums[n] = other_at[j], other_count[j]
            j, n = j + 1, n + 1
