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
from streams.records.hits import Hits, join, stretch, take
from streams.records.partials import BucketState

SHARE = 4  # of the merged hits, so that pending ones add a quarter to their memory at most
LEAST = 2**14


@dataclass(frozen=True, slots=True, eq=False)
class PendingHits:
    """Parts in the order they came, tables numbered within the shard.

    tables: all tables of the shard as they were after the last merge, of which its buckets have
    their shares. last: what a hit must not be beaten by. limit: how many hits may wait. count: how
    many do.
    """

    tables: Hits
    last: Last
    limit: int
    parts: tuple[Hits, ...] = ()
    count: int = 0

    @property
    def is_due(self) -> bool:
        """Whether so many hits wait that merging them is worth it."""
        return self.count > self.limit


def no_pending_hits(plan: Plan, states: Sequence[BucketState], least: int = LEAST) -> PendingHits:
    """Return the tables of a shard that has been read, for which nothing is pending yet.

    least: how many hits may wait, however few were merged.
    """
    bases = [-int(table_bounds(plan, state)[0]) for state in states]
    shares = [renumbered(state.hits, base) for state, base in zip(states, bases, strict=True)]
    return _waiting_for(plan, join(shares), sum(_tables(plan, state) for state in states), least)


def _waiting_for(plan: Plan, tables: Hits, count: int, least: int) -> PendingHits:
    limit = max(least, len(tables) // SHARE)
    return PendingHits(tables, last_of(tables, count, plan.table_k), limit)


def _tables(plan: Plan, state: BucketState) -> int:
    return len(plan.clusters_of(state.bucket)) * plan.tables


def with_part(pending: PendingHits, hits: Hits) -> PendingHits:
    """Return it with more hits, those left out that k others of their table beat already."""
    which = np.flatnonzero(unbeaten(pending.last, hits))
    if not len(which):
        return pending
    part = hits if len(which) == len(hits) else take(hits, which)
    return replace(pending, parts=(*pending.parts, part), count=pending.count + len(part))


def settled(plan: Plan, pending: PendingHits, least: int = LEAST) -> PendingHits:
    """Return it with what waited merged in; ``least`` as in ``no_pending_hits``."""
    if not pending.count:
        return pending
    tables = merged(pending.tables, join(pending.parts), plan.table_k)
    return _waiting_for(plan, tables, len(pending.last.score), least)


def with_shares(
    plan: Plan, states: Iterable[BucketState], pending: PendingHits
) -> Iterator[BucketState]:
    """Yield a shard's states, given in order of their buckets, with their shares of its tables."""
    tables, every = pending.tables, list(states)
    bounds = np.stack([table_bounds(plan, state) for state in every])
    # Of the table's own type, or all of it would be converted.
    at = np.searchsorted(tables.table, np.minimum(bounds, MOST_TABLES - 1).astype(np.uint32))
    at[bounds >= MOST_TABLES] = len(tables)
    entry = np.r_[0, np.cumsum(tables.rows, dtype=np.int64)]
    for state, (base, _), (first, stop) in zip(every, bounds, at, strict=True):
        share = stretch(tables, first, stop, entry)
        yield replace(state, hits=renumbered(share, int(base)))


def table_bounds(plan: Plan, state: BucketState) -> I64:
    """Return the first table of a bucket and of the next, numbered within the shard."""
    shard_first = plan.bucket_first[plan.shard_first[state.shard]]
    bounds: I64 = plan.bucket_first[state.bucket : state.bucket + 2] - shard_first
    return bounds * plan.tables
