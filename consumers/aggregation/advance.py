"""Advance: the state of a bucket after a partial, whatever kind of either it is."""

from collections.abc import Callable

from consumers.aggregation.shards import SequenceGap, moved_to, with_end
from consumers.plan import Plan
from streams.records.partials import BucketState, HitsPart, SnapshotRequest, SourceEnd, Statistics
from streams.records.tallies import BucketTally

Partial = HitsPart | Statistics | SourceEnd | SnapshotRequest
Chained = Callable[
    [Plan, BucketState, Statistics, BucketTally | None, int], BucketState | SequenceGap
]


def advanced(
    plan: Plan,
    state: BucketState,
    found: Partial,
    tally: BucketTally | None,
    offset: int,
    chained: Chained,
) -> BucketState | SequenceGap:
    """Return the state after a record; ``chained`` takes in statistics. Hits are left out."""
    if isinstance(found, SourceEnd):
        return with_end(state, found, offset)
    if isinstance(found, Statistics) and found.first <= state.bucket < found.stop:
        return chained(plan, state, found, tally, offset)
    return moved_to(state, offset)
