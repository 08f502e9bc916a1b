"""What one batch adds to buckets: each bucket's share, and how the shares of a record travel."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streams.arrays import F32, I64, U32, U64, AnyArray
from streams.errors import ShapeError
from streams.wire import codec

_BEYOND = 2**32


@dataclass(frozen=True, slots=True, eq=False)
class KeyedSums:
    """Sums by key of one accumulator in one bucket, by cluster and key, each pair once.

    number: which of the run's keyed accumulators. cluster: of the bucket; 0 for what the run owns.
    value: [entry * columns], from 0 on.
    """

    number: int
    cluster: U32
    key: U64
    value: I64

    def check(self, columns: int, clusters: int) -> None:
        """Raise ShapeError unless the entries are those of so many columns and clusters."""
        entries = len(self.key)
        if self.cluster.shape != (entries,) or self.key.ndim != 1:
            raise ShapeError("keyed sums: clusters do not fit their keys")
        if self.value.shape != (entries * columns,) or (entries and self.value.min() < 0):
            raise ShapeError("keyed sums: values do not fit their keys")
        if entries and int(self.cluster.max()) >= clusters:
            raise ShapeError(f"keyed sums: a cluster beyond {clusters}")
        later = self.cluster[1:] > self.cluster[:-1]
        same = self.cluster[1:] == self.cluster[:-1]
        if not (later | (same & (self.key[1:] > self.key[:-1]))).all():
            raise ShapeError("keyed sums: entries are not in ascending order")


@dataclass(frozen=True, slots=True, eq=False)
class KeyNames:
    """Texts that keys are hashes of. number: of the keyed accumulator."""

    number: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BucketTally:
    """What one batch adds to one bucket, sparse.

    count_at, count: addresses in the bucket's counters (``Layout``) and what to add. sum_at, sum,
    low, high: addresses in its moments, and what is added, the smallest and the largest. keyed: by
    rising number, those that something is added to.
    """

    bucket: int
    count_at: U32
    count: I64
    sum_at: U32
    sum: I64
    low: F32
    high: F32
    keyed: tuple[KeyedSums, ...] = codec.later(())

    def check(self, counters: int, moments: int, *, signed: bool = False) -> None:
        """Raise ShapeError unless the addresses fit a bucket of this size.

        signed: whether sums may be negative.
        """
        for name, at, size in (
            ("counters", self.count_at, counters),
            ("moments", self.sum_at, moments),
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
        if len(self.sum) and not signed and self.sum.min() < 0:
            raise ShapeError("tally: negative sum")
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            raise ShapeError("tally: an extreme is not finite")


@dataclass(frozen=True, slots=True, eq=False)
class PackedKeyedSums:
    """The keyed sums of one accumulator in all tallies of a record.

    lengths: how many entries each tally has. columns: values per entry. The rest as in KeyedSums.
    """

    number: int
    columns: int
    lengths: U32
    cluster: U32
    key: U64
    value: I64


@dataclass(frozen=True, slots=True, eq=False)
class PackedTallies:
    """The tallies of a record in one set of columns.

    bucket, counts, sums: of each tally its bucket and how many counters and moments it has.
    count_step and sum_step: how much an address is above the one before it in its tally, the first
    of a tally above 0. count, sum, low, high: as in BucketTally. keyed: by rising number.
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
    keyed: tuple[PackedKeyedSums, ...] = codec.later(())


def pack_tallies(tallies: Sequence[BucketTally]) -> PackedTallies | None:
    """Return tallies in columns; None unless addresses rise and every column fits its own."""
    if not all(_is_whole(tally) for tally in tallies):
        return None
    counts = np.array([len(t.count_at) for t in tallies], np.uint32)
    sums = np.array([len(t.sum_at) for t in tallies], np.uint32)
    count_step = _steps(_joined([t.count_at for t in tallies], "<u4"), counts)
    sum_step = _steps(_joined([t.sum_at for t in tallies], "<u4"), sums)
    keyed = _packed_keyed(tallies)
    if keyed is None or (count_step < 0).any() or (sum_step < 0).any():
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
        keyed=keyed,
    )


def _packed_keyed(tallies: Sequence[BucketTally]) -> tuple[PackedKeyedSums, ...] | None:
    """Return the keyed sums of tallies in columns, None for those that do not come back so."""
    parts: dict[int, list[tuple[int, KeyedSums]]] = {}
    for at, tally in enumerate(tallies):
        numbers = [each.number for each in tally.keyed]
        if sorted(set(numbers)) != numbers:
            return None
        for each in tally.keyed:
            parts.setdefault(each.number, []).append((at, each))
    found = []
    for number in sorted(parts):
        columns = {_columns_of(each) for _, each in parts[number]}
        if len(columns) != 1 or 0 in columns:
            return None
        lengths = np.zeros(len(tallies), np.uint32)
        for at, each in parts[number]:
            lengths[at] = len(each.key)
        sums = [each for _, each in parts[number]]
        found.append(
            PackedKeyedSums(
                number,
                columns.pop(),
                lengths,
                _joined([each.cluster for each in sums], "<u4"),
                _joined([each.key for each in sums], "<u8"),
                _joined([each.value for each in sums], "<i8"),
            )
        )
    return tuple(found)


def _columns_of(sums: KeyedSums) -> int:
    """Return how many values each entry has, 0 for none or columns that do not fit each other."""
    entries = len(sums.key)
    fit = sums.key.ndim == sums.value.ndim == 1 and sums.cluster.shape == (entries,)
    whole = fit and entries and len(sums.value) % entries == 0
    return len(sums.value) // entries if whole else 0


def _unpacked_keyed(packed: PackedTallies) -> list[tuple[KeyedSums, ...]]:
    """Return the keyed sums of each tally; raises ShapeError unless the columns fit each other."""
    found: list[list[KeyedSums]] = [[] for _ in packed.bucket]
    for each in packed.keyed:
        entries = int(each.lengths.sum(dtype=np.uint64))
        fit = each.cluster.shape == each.key.shape == (entries,) and each.columns > 0
        if not fit or each.value.shape != (entries * each.columns,):
            raise ShapeError("packed tallies: keyed sums do not fit each other")
        if each.lengths.shape != packed.bucket.shape:
            raise ShapeError("packed tallies: keyed sums do not fit the tallies")
        ends = np.cumsum(each.lengths, dtype=np.int64)
        for at in np.flatnonzero(each.lengths).tolist():
            part = slice(int(ends[at]) - int(each.lengths[at]), int(ends[at]))
            values = slice(part.start * each.columns, part.stop * each.columns)
            sums = KeyedSums(each.number, each.cluster[part], each.key[part], each.value[values])
            found[at].append(sums)
    return [tuple(sums) for sums in found]


def unpack_tallies(packed: PackedTallies) -> tuple[BucketTally, ...]:
    """Return the tallies; raises ShapeError unless the columns fit each other."""
    _fit(packed, len(packed.bucket), ("bucket", "counts", "sums"))
    _fit(packed, int(packed.counts.sum(dtype=np.uint64)), ("count_step", "count"))
    _fit(packed, int(packed.sums.sum(dtype=np.uint64)), ("sum_step", "sum", "low", "high"))
    count_at = _addresses(packed.count_step, packed.counts)
    sum_at = _addresses(packed.sum_step, packed.sums)
    counts = pairwise(np.r_[0, np.cumsum(packed.counts, dtype=np.int64)].tolist())
    sums = pairwise(np.r_[0, np.cumsum(packed.sums, dtype=np.int64)].tolist())
    keyed = _unpacked_keyed(packed)
    return tuple(
        BucketTally(
            bucket,
            count_at[a:b],
            packed.count[a:b],
            sum_at[c:d],
            packed.sum[c:d],
            packed.low[c:d],
            packed.high[c:d],
            more,
        )
        for bucket, (a, b), (c, d), more in zip(
            packed.bucket.tolist(), counts, sums, keyed, strict=True
        )
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
