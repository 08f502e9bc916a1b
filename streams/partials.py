"""What activation agents send to aggregators, one topic per run, one partition per shard."""

from dataclasses import dataclass

import numpy as np

from streams.arrays import F32, I64, U32
from streams.errors import OverflowingSumError, ShapeError
from streams.hits import Hits


@dataclass(frozen=True, slots=True, eq=False)
class BucketTally:
    """What one batch adds to one bucket, sparse.

    count_at, count: addresses in the bucket's counters (plan.py) and what to add. sum_at, sum:
    clusters of the bucket and their fixed-point sums. low, high: the smallest and largest firing
    activity of each cluster in ``sum_at``.
    """

    bucket: int
    count_at: U32
    count: I64
    sum_at: U32
    sum: I64
    low: F32
    high: F32

    def check(self, counters: int, clusters: int) -> None:
        """Raise ShapeError unless the addresses fit a bucket of this size."""
        for name, at, size in (
            ("counters", self.count_at, counters),
            ("clusters", self.sum_at, clusters),
        ):
            if at.ndim != 1 or (len(at) and int(at[-1]) >= size):
                raise ShapeError(f"tally: address beyond {size} {name}")
            if len(at) > 1 and (at[1:] <= at[:-1]).any():
                raise ShapeError(f"tally: {name} are not in ascending order")
        if self.count.shape != self.count_at.shape or (len(self.count) and self.count.min() < 0):
            raise ShapeError("tally: counts do not fit their addresses")
        shape = self.sum_at.shape
        if not self.sum.shape == self.low.shape == self.high.shape == shape:
            raise ShapeError("tally: sums do not fit their addresses")
        if len(self.sum) and self.sum.min() < 0:
            raise ShapeError("tally: negative sum")
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            raise ShapeError("tally: an extreme is not finite")


@dataclass(frozen=True, slots=True, eq=False)
class HitsPart:
    """Hits of one batch for one shard; a join, so it may come twice and in any order.

    Tables are numbered within the shard: cluster of the shard times criteria plus criterion.
    """

    run: str
    shard: int
    partition: int
    sequence: int
    hits: Hits


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """The chained record of one batch for the buckets first to stop - 1 of one shard.

    Sent also when nothing fired. tokens and rows: valid ones in the batch. refused: the batch is a
    dead letter and only advances the chain. tallies: those of the buckets in which something fired.
    Each bucket of a shard is covered by exactly one record of a batch.
    """

    run: str
    shard: int
    partition: int
    sequence: int
    first: int
    stop: int
    tokens: int
    rows: int
    refused: bool
    tallies: tuple[BucketTally, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """The end record of a source partition, forwarded to every shard: ``batches`` is its length."""

    run: str
    shard: int
    partition: int
    batches: int


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Asks every shard to write a part of its state as it stands when this record is reached."""

    run: str
    shard: int
    snapshot: str


@dataclass(frozen=True, slots=True, eq=False)
class BucketState:
    """The value of a table key: everything known of one bucket, changed in one write.

    position: offset of the last record of the shard's input in it, -1 for none. chain: last
    sequence applied per source partition, -1 for none. batches: length per source partition, -1
    while unknown. tokens, rows, refused: totals. counts: counters at the plan's addresses. sums,
    low, high: per cluster. hits: the tables, numbered within the bucket.
    """

    run: str
    shard: int
    bucket: int
    position: int
    chain: I64
    batches: I64
    tokens: int
    rows: int
    refused: int
    counts: I64
    sums: I64
    low: F32
    high: F32
    hits: Hits


def added(total: I64, at: U32, more: I64) -> I64:
    """Return ``total`` with ``more`` added at the distinct addresses ``at``; both are not negative.

    Raises OverflowingSumError where 64 bits no longer hold the sum.
    """
    result = total.copy()
    result[at] += more
    if len(at) and (result[at] < 0).any():
        raise OverflowingSumError(
            "a count or fixed-point sum exceeds 2**63: raise the resolution "
            "step (lower sum_bits) and start a new run"
        )
    return result
