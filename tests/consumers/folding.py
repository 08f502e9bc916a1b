"""The functional core over batches, without Faust: from token batches to the states of buckets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from consumers.aggregation.pending_hits import table_bounds
from consumers.aggregation.shards import (
    SequenceGap,
    check_hits,
    check_statistics,
    is_complete,
    moved_to,
    new_bucket,
    renumbered,
    with_end,
    with_keyed_statistics,
    with_statistics,
)
from consumers.plan import Plan
from consumers.selection.messages import batch_records, end_records
from consumers.selection.selection import select, valid_tokens, with_rows
from consumers.selection.topk_filter import TopKFilter
from streams import topics
from streams.records.corpus import PartitionEnd, TokenBatch
from streams.records.hits import Hits, best, join, take
from streams.records.partials import BucketState, HitsPart, SourceEnd, Statistics
from streams.wire import codec


def folded_states(
    plan: Plan, engine: Any, given: Sequence[TokenBatch], shuffle: int = 0
) -> list[BucketState]:
    """Return all buckets' states: chained records in order, hits wherever ``shuffle`` says."""
    topk_filter = TopKFilter(plan.clusters * plan.tables, plan.table_k)
    chained, free = [], []
    for batch in given:
        valid = valid_tokens(plan, batch)
        selection = select(plan, batch, valid, engine.compute(batch, valid))
        topk_filter.see(selection.candidates)
        hits = with_rows(selection, np.flatnonzero(topk_filter.unbeaten(selection.candidates)))
        for record in batch_records(plan, batch.partition, batch.sequence, selection.tally, hits):
            (free if record.kind == topics.HITS else chained).append(record)
    for partition in range(plan.run.partitions):
        count = sum(b.partition == partition for b in given)
        chained += end_records(plan, PartitionEnd("text", partition, count, 0, 0))
    random = np.random.default_rng(shuffle)
    free = [free[i] for i in random.integers(0, len(free), 2 * len(free))] + free
    return fold(plan, [*free, *chained] if shuffle % 2 else [*chained, *free])


def fold(plan: Plan, records: Sequence[Any]) -> list[BucketState]:
    states: list[Any] = [
        new_bucket(plan, shard, b)
        for shard in range(plan.run.shards)
        for b in plan.buckets_of(shard)
    ]
    for offset, record in enumerate(records):
        for bucket in plan.buckets_of(record.shard):
            states[bucket] = apply(plan, states[bucket], record, offset)
            assert not isinstance(states[bucket], SequenceGap)
            states[bucket] = codec.decode(BucketState, codec.encode(states[bucket]))
    assert all(is_complete(state) for state in states)
    return states


def apply(plan: Plan, state: BucketState, record: Any, offset: int) -> Any:
    if record.kind == topics.HITS:
        part = codec.decode(HitsPart, record.value)
        check_hits(plan, part)
        return with_hits(plan, state, part.hits, offset)
    if record.kind == topics.SOURCE_END:
        return with_end(state, codec.decode(SourceEnd, record.value), offset)
    statistics = codec.decode(Statistics, record.value)
    check_statistics(plan, statistics)
    if state.bucket not in range(statistics.first, statistics.stop):
        return state
    tally = {t.bucket: t for t in statistics.tallies}.get(state.bucket)
    after = with_statistics(plan, state, statistics, tally, offset)
    keyed = with_keyed_statistics(plan, state, statistics, tally, offset)
    if isinstance(after, SequenceGap) or isinstance(keyed, SequenceGap):
        return after
    return replace(after, keyed=keyed.keyed, names=keyed.names)


def with_hits(plan: Plan, state: BucketState, hits: Hits, offset: int) -> BucketState:
    """Return the state with a record's hits considered: the rule, one record at a time.

    hits: with tables numbered within the shard. ``pending_hits`` comes to the same with many
    records at once.
    """
    first, stop = table_bounds(plan, state)
    share = take(hits, np.flatnonzero((hits.table >= first) & (hits.table < stop)))
    both = join([state.hits, renumbered(share, int(first))])
    return replace(moved_to(state, offset), hits=best(both, plan.table_k))
