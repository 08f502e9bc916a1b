"""What one batch adds to buckets: each bucket's share, and how the shares of a record travel."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streams.arrays import F32, I64, U32, AnyArray
from streams.errors import ShapeError

_BEYOND = 2**32


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
class PackedTallies:
    """The tallies of a record in one set of columns.

    bucket, counts, sums: of each tally its bucket and how many counters and clusters it has.
    count_step and sum_step: how much an address is above the one before it in its tally, the first
    of a tally above 0. count, sum, low, high: as in BucketTally.
    """

    bucket: I64
    counts: U32
    sums: U32
    count_step: U32
    count: I64
    sum_step: U32
    sum: I64
    low: F32
    high: F32


def pack_tallies(tallies: Sequence[BucketTally]) -> PackedTallies | None:
    """Return tallies in columns; None unless addresses rise and every column fits its own."""
    if not all(_is_whole(tally) for tally in tallies):
        return None
    counts = np.array([len(t.count_at) for t in tallies], np.uint32)
    sums = np.array([len(t.sum_at) for t in tallies], np.uint32)
    count_step = _steps(_joined([t.count_at for t in tallies], "<u4"), counts)
    sum_step = _steps(_joined([t.sum_at for t in tallies], "<u4"), sums)
    if (count_step < 0).any() or (sum_step < 0).any():
        return None
    return PackedTallies(
        bucket=np.array([t.bucket for t in tallies], np.int64),
        counts=counts,
        sums=sums,
        count_step=count_step.astype(np.uint32),
        count=_joined([t.count for t in tallies], "<i8"),
        sum_step=sum_step.astype(np.uint32),
        sum=_joined([t.sum for t in tallies], "<i8"),
        low=_joined([t.low for t in tallies], "<f4"),
        high=_joined([t.high for t in tallies], "<f4"),
    )


def unpack_tallies(packed: PackedTallies) -> tuple[BucketTally, ...]:
    """Return the tallies; raises ShapeError unless the columns fit each other."""
    _fit(packed, len(packed.bucket), ("bucket", "counts", "sums"))
    _fit(packed, int(packed.counts.sum(dtype=np.uint64)), ("count_step", "count"))
    _fit(packed, int(packed.sums.sum(dtype=np.uint64)), ("sum_step", "sum", "low", "high"))
    count_at = _addresses(packed.count_step, packed.counts)
    sum_at = _addresses(packed.sum_step, packed.sums)
    counts = pairwise(np.r_[0, np.cumsum(packed.counts, dtype=np.int64)].tolist())
    sums = pairwise(np.r_[0, np.cumsum(packed.sums, dtype=np.int64)].tolist())
    return tuple(
        BucketTally(
            bucket,
            count_at[a:b],
            packed.count[a:b],
            sum_at[c:d],
            packed.sum[c:d],
            packed.low[c:d],
            packed.high[c:d],
        )
        for bucket, (a, b), (c, d) in zip(packed.bucket.tolist(), counts, sums, strict=True)
    )


def _is_whole(tally: BucketTally) -> bool:
    counts, sums = tally.count_at.shape, tally.sum_at.shape
    return (
        len(counts) == len(sums) == 1
        and tally.count.shape == counts
        and tally.sum.shape == tally.low.shape == tally.high.shape == sums
    )


def _joined(columns: list[AnyArray], dtype: str) -> AnyArray:
    return np.concatenate([np.zeros(0, dtype), *columns])


def _steps(at: AnyArray, lengths: AnyArray) -> I64:
    """Return the steps between addresses that begin anew in each run of ``lengths``."""
    steps = at.astype(np.int64)
    steps[1:] -= at[:-1]
    starts = _starts(lengths)
    steps[starts] = at[starts]
    return steps


def _addresses(steps: U32, lengths: AnyArray) -> U32:
    """Return the addresses that ``_steps`` came from."""
    total = np.cumsum(steps, dtype=np.int64)
    starts = _starts(lengths)
    at = total - np.repeat(total[starts] - steps[starts], lengths[lengths > 0])
    if len(at) and int(at.max()) >= _BEYOND:
        raise ShapeError("packed tallies: an address is too large")
    return at.astype(np.uint32)


def _starts(lengths: AnyArray) -> I64:
    """Return where the runs that have a length begin."""
    some = lengths[lengths > 0].astype(np.int64)
    starts: I64 = np.cumsum(some) - some
    return starts


def _fit(packed: PackedTallies, length: int, names: tuple[str, ...]) -> None:
    if any(getattr(packed, name).shape != (length,) for name in names):
        raise ShapeError(f"packed tallies: {', '.join(names)} do not fit each other")
