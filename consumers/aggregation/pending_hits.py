"""Pending hits: a shard has taken them in, and merges them into its top-k tables later.

Merging costs as much as the tables are large, however few the new hits; so it waits until they are
a share of what is there, or somebody wants to see the tables. Hits are a join: when they are merged
changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumers.aggregation.merging import Last, last_of, merged, unbeaten
from consumers.aggregation.shards import renumbered
from consumers.plan import MOST_TABLES, Plan
from streams.arrays import I64
from streams.records.hits import Hits, join, rank, stretch, take
from streams.records.partials import BucketState

SHARE = 4  # of the merged hits, so that pending ones add a quarter to their memory at most
LEAST = 2**14


@dataclass(frozen=True, slots=True, eq=False)
class PendingHits:
    """Parts in the order they came, tables numbered within the shard.

    last: what a hit must not be beaten by. limit: how many hits may wait. count: how many do.
    """

    last: Last
    limit: int
    parts: tuple[Hits, ...] = ()
    count: int = 0

    @property
    def is_due(self) -> bool:
        """Whether so many hits wait that merging them is worth it."""
        return self.count > self.limit


def no_pending_hits(plan: Plan, states: Sequence[BucketState], least: int = LEAST) -> PendingHits:
    """Return what is pending in a shard just after a merge that led to these states, all of it.

    least: how many hits may wait, however few were merged.
    """
    tables = (len(plan.clusters_of(s.bucket)) * plan.tables for s in states)
    k = plan.table_k
    lasts = [last_of(s.hits, count, k) for s, count in zip(states, tables, strict=True)]
    columns = (
        np.concatenate([getattr(last, name) for last in lasts])
        for name in Last.__dataclass_fields__
    )
    return PendingHits(Last(*columns), max(least, sum(len(s.hits) for s in states) // SHARE))


def with_part(pending: PendingHits, hits: Hits) -> PendingHits:
    """Return it with more hits, those left out that k others of their table beat already."""
    which = np.flatnonzero(unbeaten(pending.last, hits))
    if not len(which):
        return pending
    part = hits if len(which) == len(hits) else take(hits, which)
    return replace(pending, parts=(*pending.parts, part), count=pending.count + len(part))


def settled(
    plan: Plan, states: Iterable[BucketState], pending: PendingHits
) -> Iterator[BucketState]:
    """Yield a shard's states, given in order of their buckets, with the pending hits merged in."""
    if not pending.count:
        yield from states
        return
    news = join(pending.parts)
    news = take(news, rank(news))
    every = list(states)
    bounds = np.stack([table_bounds(plan, state) for state in every])
    # Of the table's own type, or all of it would be converted.
    at = np.searchsorted(news.table, np.minimum(bounds, MOST_TABLES - 1).astype(np.uint32))
    at[bounds >= MOST_TABLES] = len(news)
    entry = np.r_[0, np.cumsum(news.rows, dtype=np.int64)]
    for state, (base, _), (first, stop) in zip(every, bounds, at, strict=True):
        share = stretch(news, first, stop, entry)
        yield replace(state, hits=merged(state.hits, renumbered(share, int(base)), plan.table_k))


def table_bounds(plan: Plan, state: BucketState) -> I64:
    """Return the first table of a bucket and of the next, numbered within the shard."""
    shard_first = plan.bucket_first[plan.shard_first[state.shard]]
    bounds: I64 = plan.bucket_first[state.bucket : state.bucket + 2] - shard_first
    return bounds * plan.tables
