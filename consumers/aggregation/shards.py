"""State of a shard: pure functions from a bucket's state and a record to its next state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from consumers.aggregation.bucket_sums import with_tally
from consumers.aggregation.keyed_sums import with_keyed, with_names
from consumers.plan import Plan
from streams.arrays import F32, I64, AnyArray
from streams.errors import ShapeError
from streams.records.hits import Hits, no_hits
from streams.records.partials import BucketState, HitsPart, SourceEnd, Statistics
from streams.records.tallies import BucketTally, KeyedSums, KeyNames


@dataclass(frozen=True, slots=True)
class SequenceGap:
    """A chained record that came before its predecessor: dropped, because that comes again."""

    partition: int
    expected: int
    found: int


def new_bucket(plan: Plan, shard: int, bucket: int) -> BucketState:
    """Return the state of a bucket that has seen nothing."""
    moments = plan.moments_of(bucket)
    unknown = np.full(plan.run.partitions, -1, np.int64)
    return BucketState(
        run=plan.id,
        shard=shard,
        bucket=bucket,
        position=-1,
        chain=unknown,
        batches=unknown,
        tokens=0,
        rows=0,
        refused=0,
        counts=np.zeros(plan.counters_of(bucket), np.int64),
        sums=np.zeros(moments, np.int64),
        low=np.full(moments, np.inf, np.float32),
        high=np.full(moments, -np.inf, np.float32),
        hits=no_hits(),
    )


def new_keyed(plan: Plan, shard: int, bucket: int) -> BucketState:
    """Return the keyed state of a bucket that has seen nothing.

    It is a state of its own, with its own chain and position, that has the sums by key and nothing
    else, so that it need not be written whenever the rest of the bucket is.
    """
    empty = new_bucket(plan, shard, bucket)
    none = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return replace(empty, counts=none[0], sums=none[0], low=none[1], high=none[1])


def check_state(plan: Plan, state: BucketState) -> None:
    """Raise ShapeError unless a state read back belongs to this plan."""
    _check_whose(plan, state)
    clusters = len(plan.clusters_of(state.bucket))
    _check_entries(state, plan.counters_of(state.bucket), plan.moments_of(state.bucket))
    state.hits.check(clusters * plan.tables)


def check_keyed_state(plan: Plan, state: BucketState) -> None:
    """Raise ShapeError unless a keyed state read back belongs to this plan."""
    _check_whose(plan, state)
    _check_entries(state, 0, 0)
    state.hits.check(0)


def _check_entries(state: BucketState, counters: int, moments: int) -> None:
    sizes = {state.sums.shape, state.low.shape, state.high.shape}
    if state.counts.shape != (counters,) or sizes != {(moments,)}:
        raise ShapeError(f"state of bucket {state.bucket} has another layout than the run's")


def _check_whose(plan: Plan, state: BucketState) -> None:
    where = f"the state of bucket {state.bucket} in shard {state.shard}"
    if state.run != plan.id:
        raise ShapeError(
            f"{where} is that of run id {state.run}, run {plan.run.name!r} has {plan.id}: it was "
            "kept with other settings, or by a Millrace that lays states out in another way; "
            "delete the run and make it again"
        )
    within = 0 <= state.shard < plan.run.shards
    if not within or state.bucket not in plan.buckets_of(state.shard):
        raise ShapeError(f"{where} belongs to no shard of run {plan.run.name!r}")
    if {state.chain.shape, state.batches.shape} != {(plan.run.partitions,)}:
        raise ShapeError(f"state of bucket {state.bucket} knows other source partitions")
    _check_keyed(plan, state.bucket, state.keyed)
    _check_names(plan, state.names)


def check_hits(plan: Plan, part: HitsPart) -> None:
    """Raise ShapeError unless hits fit the plan; done once, before any bucket takes its share."""
    _check_origin(plan, part)
    buckets = plan.buckets_of(part.shard)
    clusters = plan.bucket_first[buckets.stop] - plan.bucket_first[buckets.start]
    part.hits.check(int(clusters) * plan.tables)
    if len(part.hits) and not _entries_fit(plan, part.hits, buckets):
        raise ShapeError("hits: a member, position or place lies outside the run")


def _entries_fit(plan: Plan, hits: Hits, buckets: range) -> bool:
    run = plan.run
    return (
        _within(hits.position, run.context)
        and _within(hits.peak, run.context)
        and _within(hits.partition, run.partitions)
        and _within(hits.row)
        and _within(hits.sequence)
        and _within(hits.member)
        and _members_fit(plan, hits, buckets)
    )


def _within(column: AnyArray, stop: int = 2**63) -> bool:
    """Return whether all numbers are from 0 to ``stop`` - 1."""
    return not len(column) or (int(column.min()) >= 0 and int(column.max()) < stop)


def _members_fit(plan: Plan, hits: Hits, buckets: range) -> bool:
    cluster = hits.table.astype(np.int64) // plan.tables + plan.bucket_first[buckets.start]
    sizes = np.diff(plan.member_first)[cluster]
    if not len(hits.member) or int(hits.member.max()) < int(sizes.min()):
        return True
    return bool((hits.member < np.repeat(sizes, hits.rows)).all())


def check_statistics(plan: Plan, record: Statistics) -> None:
    """Raise ShapeError unless chained statistics fit the plan, all of them."""
    _check_origin(plan, record)
    buckets = plan.buckets_of(record.shard)
    if not buckets.start <= record.first <= record.stop <= buckets.stop:
        raise ShapeError(f"statistics for buckets {record.first} to {record.stop} of {buckets}")
    if not 0 <= record.rows <= record.tokens < 2**32:
        raise ShapeError(f"statistics: {record.tokens} tokens in {record.rows} rows")
    numbers = [tally.bucket for tally in record.tallies]
    if sorted(set(numbers)) != numbers or (record.refused and numbers):
        raise ShapeError("statistics: buckets repeat or are out of order")
    for tally in record.tallies:
        if tally.bucket not in range(record.first, record.stop):
            raise ShapeError(f"statistics: bucket {tally.bucket} is not among the record's")
        tally.check(
            plan.counters_of(tally.bucket),
            plan.moments_of(tally.bucket),
            signed=plan.layout.has_signed_sums,
        )
        _check_keyed(plan, tally.bucket, tally.keyed)
    _check_names(plan, record.names)


def _check_keyed(plan: Plan, bucket: int, keyed: Sequence[KeyedSums]) -> None:
    """Raise ShapeError unless these are keyed sums of the bucket, by rising number."""
    _check_numbers(plan, [each.number for each in keyed])
    for each in keyed:
        place = plan.layout.keyed[each.number]
        owned = plan.layout.owned(place.per, bucket)
        each.check(place.columns, owned.stop - owned.start)


def _check_names(plan: Plan, names: Sequence[KeyNames]) -> None:
    _check_numbers(plan, [each.number for each in names])


def _check_numbers(plan: Plan, numbers: list[int]) -> None:
    within = all(0 <= number < len(plan.layout.keyed) for number in numbers)
    if sorted(set(numbers)) != numbers or not within:
        raise ShapeError("keyed sums that the run does not have, or out of order")


def check_end(plan: Plan, record: SourceEnd) -> None:
    """Raise ShapeError unless a source's end fits the plan."""
    if record.run != plan.id or not 0 <= record.partition < plan.run.partitions:
        raise ShapeError("the end of a partition that the run does not have")
    if record.batches < 0:
        raise ShapeError("the end of a partition with a negative length")


def _check_origin(plan: Plan, record: HitsPart | Statistics) -> None:
    if record.run != plan.id:
        raise ShapeError(f"a partial of another run, {record.run}")
    if not 0 <= record.shard < plan.run.shards:
        raise ShapeError(f"a partial for shard {record.shard} of {plan.run.shards}")
    if not 0 <= record.partition < plan.run.partitions or record.sequence < 0:
        raise ShapeError("a partial of a batch that the corpus cannot hold")


def renumbered(hits: Hits, base: int) -> Hits:
    """Return hits with their tables counted from ``base``, below 0 to count from a lower one."""
    columns: dict[str, Any] = {name: getattr(hits, name) for name in Hits.__dataclass_fields__}
    columns["table"] = hits.table - np.uint32(base % 2**32)
    return Hits(**columns)


def with_statistics(
    plan: Plan, state: BucketState, record: Statistics, tally: BucketTally | None, offset: int
) -> BucketState | SequenceGap:
    """Return the state with a batch's statistics, a duplicate skipped, or the gap before it.

    Sums by key are left to ``with_keyed_statistics``.
    """
    last = int(state.chain[record.partition])
    if record.sequence > last + 1:
        return SequenceGap(record.partition, last + 1, record.sequence)
    if record.sequence <= last:
        return moved_to(state, offset)
    numbers = state.counts, state.sums, state.low, state.high
    if tally is not None:
        numbers = with_tally(*numbers, tally)
    return _chained(state, record, offset, numbers, (state.keyed, state.names))


def with_keyed_statistics(
    plan: Plan, state: BucketState, record: Statistics, tally: BucketTally | None, offset: int
) -> BucketState | SequenceGap:
    """Return a keyed state with a batch's sums by key; otherwise as ``with_statistics``."""
    last = int(state.chain[record.partition])
    if record.sequence > last + 1:
        return SequenceGap(record.partition, last + 1, record.sequence)
    if record.sequence <= last:
        return moved_to(state, offset)
    places, keyed, names = plan.layout.keyed, state.keyed, state.names
    if tally is not None:
        keyed = with_keyed(places, keyed, tally.keyed)
    if record.names:
        names = with_names(places, names, record.names)
    numbers = state.counts, state.sums, state.low, state.high
    return _chained(state, record, offset, numbers, (keyed, names))


def _chained(
    state: BucketState,
    record: Statistics,
    offset: int,
    numbers: tuple[I64, I64, F32, F32],
    keyed: tuple[tuple[KeyedSums, ...], tuple[KeyNames, ...]],
) -> BucketState:
    """Return the state after the next record of its chain, with these numbers and sums by key."""
    # Not by ``replace``, which takes five times as long, for each bucket of each batch.
    return BucketState(
        state.run,
        state.shard,
        state.bucket,
        offset,
        _with(state.chain, record.partition, record.sequence),
        state.batches,
        state.tokens + record.tokens,
        state.rows + record.rows,
        state.refused + record.refused,
        *numbers,
        state.hits,
        *keyed,
    )


def with_end(state: BucketState, record: SourceEnd, offset: int) -> BucketState:
    """Return the state that knows how long a source partition is."""
    return replace(
        state, position=offset, batches=_with(state.batches, record.partition, record.batches)
    )


def moved_to(state: BucketState, offset: int) -> BucketState:
    """Return the state after a record that is not for it."""
    return BucketState(
        state.run,
        state.shard,
        state.bucket,
        offset,
        state.chain,
        state.batches,
        state.tokens,
        state.rows,
        state.refused,
        state.counts,
        state.sums,
        state.low,
        state.high,
        state.hits,
        state.keyed,
        state.names,
    )


def is_complete(state: BucketState) -> bool:
    """Return whether every source partition has ended and is applied to its last batch."""
    return bool((state.batches >= 0).all() and (state.chain + 1 == state.batches).all())


def _with(array: I64, at: int, value: int) -> AnyArray:
    copy = array.copy()
    copy[at] = value
    return copy
