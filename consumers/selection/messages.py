"""Records of a computed batch for the aggregators: hits as free records, then the chained ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from consumers.aggregation.shards import renumbered
from consumers.plan import ENTRY_BYTES, HIT_BYTES, Plan
from consumers.selection.batch_tally import BatchTally
from consumers.statistics.layout import Layout
from streams import topics
from streams.arrays import I64
from streams.records.corpus import PartitionEnd
from streams.records.hits import Hits, take
from streams.records.partials import HitsPart, SourceEnd, Statistics
from streams.records.tallies import BucketTally, KeyedSums
from streams.wire import codec

_SHARE = 4  # a record takes at most this share of the limit: encoded sizes are estimates


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record for one shard: its kind and sequence go into the headers, too."""

    shard: int
    kind: bytes
    sequence: int
    value: bytes


def batch_records(
    plan: Plan, partition: int, sequence: int, tally: BatchTally, hits: Hits
) -> Iterator[Outgoing]:
    """Yield the records of a batch: for every shard its hits, then its statistics."""
    hits = take(hits, np.argsort(hits.table, kind="stable"))
    for shard in range(plan.run.shards):
        for part in _hits_of(plan, shard, hits):
            record = HitsPart(plan.id, shard, partition, sequence, part)
            yield Outgoing(shard, topics.HITS, sequence, codec.encode_packed(record))
        for statistics in _statistics(plan, shard, partition, sequence, tally):
            yield Outgoing(shard, topics.STATISTICS, sequence, codec.encode_packed(statistics))


def refused_records(plan: Plan, partition: int, sequence: int) -> Iterator[Outgoing]:
    """Yield what a dead-lettered batch sends: records that advance every chain and add nothing."""
    for shard in range(plan.run.shards):
        buckets = plan.buckets_of(shard)
        record = Statistics(
            plan.id, shard, partition, sequence, buckets.start, buckets.stop, 0, 0, refused=True
        )
        yield Outgoing(shard, topics.STATISTICS, sequence, codec.encode(record))


def end_records(plan: Plan, end: PartitionEnd) -> Iterator[Outgoing]:
    """Yield the end of a source partition for every shard."""
    for shard in range(plan.run.shards):
        record = SourceEnd(plan.id, shard, end.partition, end.batches)
        yield Outgoing(shard, topics.SOURCE_END, end.batches, codec.encode(record))


def _hits_of(plan: Plan, shard: int, hits: Hits) -> Iterator[Hits]:
    """Yield a shard's hits with tables numbered within it, in parts that fit a record each."""
    buckets = plan.buckets_of(shard)
    bounds = plan.bucket_first[[buckets.start, buckets.stop]] * plan.tables
    first, stop = np.searchsorted(hits.table, bounds)
    if first == stop:
        return
    size = np.cumsum(HIT_BYTES + ENTRY_BYTES * hits.rows[first:stop].astype(np.int64))
    limit = plan.run.record_bytes // _SHARE
    for group in np.split(np.arange(first, stop), _cuts(size, limit)):
        part = take(hits, group)
        yield renumbered(part, int(bounds[0]))


def _cuts(size: I64, limit: int) -> list[int]:
    """Return where to cut a growing total so that no piece passes the limit."""
    cuts: list[int] = []
    before = 0
    while size[-1] - before > limit:
        at = int(np.searchsorted(size, before + limit, side="right"))
        at = max(at, (cuts[-1] if cuts else 0) + 1)
        if at >= len(size):
            break
        cuts.append(at)
        before = int(size[at - 1])
    return cuts


def _statistics(
    plan: Plan, shard: int, partition: int, sequence: int, tally: BatchTally
) -> Iterator[Statistics]:
    """Yield the chained records of a shard: one, unless its tallies do not fit one record."""
    buckets = plan.buckets_of(shard)
    limit = plan.run.record_bytes // _SHARE
    first, size = buckets.start, 0
    tallies: list[BucketTally] = []

    def chained(stop: int) -> Statistics:
        return Statistics(
            plan.id,
            shard,
            partition,
            sequence,
            first,
            stop,
            tally.tokens,
            tally.rows,
            refused=False,
            tallies=tuple(tallies),
            names=tally.names,
        )

    for part in bucket_tallies(plan, buckets, tally):
        more = 12 * len(part.count) + 20 * len(part.sum)
        more += sum(12 * len(each.key) + 8 * len(each.value) for each in part.keyed)
        if tallies and size + more > limit:
            yield chained(part.bucket)
            first, size, tallies = part.bucket, 0, []
        tallies.append(part)
        size += more
    yield chained(buckets.stop)


def bucket_tallies(plan: Plan, buckets: range, tally: BatchTally) -> Iterator[BucketTally]:
    """Yield what of a tally belongs to each bucket of a range, in order; not where nothing does."""
    layout, moments = plan.layout, tally.moments
    bases = layout.sum_first[buckets.start : buckets.stop + 1]
    moments_bases = layout.moments_first[buckets.start : buckets.stop + 1]
    # Bounds of all buckets at once: there are hundreds, and a search for each takes its time.
    counts = np.searchsorted(tally.count_at, bases).tolist()
    sums = np.searchsorted(moments.at, moments_bases).tolist()
    for number, (first, stop), (low, high) in zip(
        buckets, pairwise(counts), pairwise(sums), strict=True
    ):
        keyed = tuple(_keyed_of(layout, number, tally)) if tally.keyed else ()
        if first == stop and low == high and not keyed:
            continue
        base, moments_base = layout.sum_first[number], layout.moments_first[number]
        yield BucketTally(
            number,
            (tally.count_at[first:stop] - base).astype(np.uint32),
            tally.count[first:stop],
            (moments.at[low:high] - moments_base).astype(np.uint32),
            moments.sum[low:high],
            moments.low[low:high],
            moments.high[low:high],
            keyed,
        )


def _keyed_of(layout: Layout, bucket: int, tally: BatchTally) -> Iterator[KeyedSums]:
    for number, sums in tally.keyed:
        owned = layout.owned(layout.keyed[number].per, bucket)
        first, stop = np.searchsorted(sums.cluster, (owned.start, owned.stop))
        if first < stop:
            yield KeyedSums(
                number,
                (sums.cluster[first:stop] - owned.start).astype(np.uint32),
                sums.key[first:stop],
                sums.value[first:stop].reshape(-1),
            )
