"""Sums and moments (sum, minimum, maximum) of a bucket with a batch added, in one pass."""

from consumers.compiled import compiled
from streams.arrays import F32, I64, U32
from streams.errors import OverflowingSumError
from streams.records.tallies import BucketTally


def with_tally(
    counts: I64, sums: I64, low: F32, high: F32, tally: BucketTally
) -> tuple[I64, I64, F32, F32]:
    """Return a bucket's sums and moments with a tally that fits it taken in.

    Raises OverflowingSumError where 64 bits no longer hold a sum.
    """
    after = counts.copy(), sums.copy(), low.copy(), high.copy()
    if not _add(
        *after, tally.count_at, tally.count, tally.sum_at, tally.sum, tally.low, tally.high
    ):
        raise OverflowingSumError(
            "a count or fixed-point sum exceeds 2**63: raise the resolution "
            "step (lower sum_bits) and start a new run"
        )
    return after


@compiled
def _add(
    counts: I64,
    sums: I64,
    low: F32,
    high: F32,
    count_at: U32,
    count: I64,
    sum_at: U32,
    more: I64,
    least: F32,
    most: F32,
) -> bool:
    """Add in place; return whether 64 bits hold all sums. Counts are never negative."""
    fits = True
    for i in range(len(count_at)):
        counts[count_at[i]] += count[i]
        fits = fits and counts[count_at[i]] >= 0
    for i in range(len(sum_at)):
        at = sum_at[i]
        before = sums[at]
        after = before + more[i]  # a sum that wraps has another sign than both of its terms
        sums[at] = after
        fits = fits and ((before ^ after) & (more[i] ^ after)) >= 0
        low[at] = min(low[at], least[i])
        high[at] = max(high[at], most[i])
    return fits
