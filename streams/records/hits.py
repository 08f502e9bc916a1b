"""Hits in columns, their order with its tie-breaking, and top-k tables of the best.

A hit is a sample that activates a cluster, a possible max-activating example: its score, where it
peaks, the place it stands at and the sparse row of each member. Hits of many tables
live side by side in one set of arrays, so that a table update is a handful of array operations
however many clusters there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from streams.arrays import F32, I32, I64, U32, U64, AnyArray
from streams.errors import ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """n hits and the m entries of their rows.

    table: which table each is meant for. score: what the table's ranking orders by. sample_high
    and sample_low: the 128-bit sample key, big end first. peak: position of the score. partition,
    sequence, row: the place. rows: how many entries each hit has in the three entry arrays, which
    hold, hit by hit and sorted by member then position, the signed non-zero values.
    """

    table: U32
    score: F32
    sample_high: U64
    sample_low: U64
    peak: I32
    partition: I32
    sequence: I64
    row: I32
    rows: I32
    member: I32
    position: I32
    value: F32

    def __len__(self) -> int:
        return len(self.table)

    def check(self, tables: int) -> None:
        """Raise ShapeError unless the columns fit each other and ``tables`` tables."""
        head, entries = len(self.table), len(self.member)
        if any(getattr(self, name).shape != (head,) for name in HEAD):
            raise ShapeError("hits: columns of different lengths")
        if any(getattr(self, name).shape != (entries,) for name in ENTRIES):
            raise ShapeError("hits: row entries of different lengths")
        if head and (self.rows.min() < 0 or int(self.rows.sum(dtype=np.int64)) != entries):
            raise ShapeError("hits: rows do not add up to their entries")
        if not head and entries:
            raise ShapeError("hits: entries without a hit")
        if head and int(self.table.max()) >= tables:
            raise ShapeError(f"hits: table {int(self.table.max())} of {tables}")
        if not np.isfinite(self.score).all() or not np.isfinite(self.value).all():
            raise ShapeError("hits: a score or value is not finite")


ENTRIES = ("member", "position", "value")
HEAD = tuple(f.name for f in fields(Hits) if f.name not in ENTRIES)


def no_hits() -> Hits:
    """Return an empty set of hits."""
    z = np.zeros(0, np.int32)
    f = np.zeros(0, np.float32)
    u = np.zeros(0, np.uint64)
    return Hits(z.astype(np.uint32), f, u, u, z, z, z.astype(np.int64), z, z, z, z, f)


def take(hits: Hits, which: AnyArray) -> Hits:
    """Return the hits at the indices ``which``, in that order, with their rows."""
    head = {name: getattr(hits, name)[which] for name in HEAD}
    starts = np.cumsum(hits.rows, dtype=np.int64) - hits.rows
    entries = ranges(starts[which], head["rows"])
    return Hits(**head, **{name: getattr(hits, name)[entries] for name in ENTRIES})


def stretch(hits: Hits, first: int, stop: int, entry: I64) -> Hits:
    """Return the hits first to stop - 1 with their rows, as views.

    entry [hit + 1]: where the entries of each begin, and where those of the last one end.
    """
    begins, ends = int(entry[first]), int(entry[stop])
    head = {name: getattr(hits, name)[first:stop] for name in HEAD}
    return Hits(**head, **{name: getattr(hits, name)[begins:ends] for name in ENTRIES})


def ranges(starts: AnyArray, lengths: AnyArray) -> AnyArray:
    """Return the indices start, start + 1, ... of each run, one run after the other."""
    lengths = lengths.astype(np.int64)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    indices: AnyArray = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return indices


def join(parts: Sequence[Hits]) -> Hits:
    """Return all hits of ``parts``, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    names = HEAD + ENTRIES
    return Hits(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def rank(hits: Hits) -> AnyArray:
    """Return the indices that sort hits by table and, inside a table, best first.

    Best first means score descending, sample key ascending, peak position ascending, place
    ascending. This function alone settles ties. Table and score decide nearly always and fit one
    64-bit key, so only hits that tie in both are compared in full.
    """
    coarse = coarse_rank(hits)
    order = np.argsort(coarse, kind="stable")
    ordered = coarse[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        at = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
        tied = order[at]
        order[at] = tied[_full_order(hits, tied, coarse)]
    return order


def coarse_rank(hits: Hits) -> U64:
    """Return numbers, uint64, that sort hits by table and score; the upper half is the table."""
    return (hits.table.astype(np.uint64) << np.uint64(32)) | _descending(hits.score)


def _descending(score: F32) -> U64:
    """Return integers that sort the way scores sort from high to low."""
    bits = (score + np.float32(0)).view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(2**31))
    return (~ascending).astype(np.uint64)


def _full_order(hits: Hits, which: AnyArray, coarse: U64) -> AnyArray:
    rising = (hits.row, hits.sequence, hits.partition, hits.peak, hits.sample_low, hits.sample_high)
    return np.lexsort((*(column[which] for column in rising), coarse[which]))


def best(hits: Hits, k: int | I64) -> Hits:
    """Return, per table, the best hit of each of the k best samples, sorted by ``rank``.

    k: of all tables, or [table of a cluster], which are numbered cluster by cluster. A join: the
    order of hits, doubles and earlier cuts at the same k change nothing.
    """
    if not len(hits):
        return hits
    order = rank(hits)
    order = order[_first_of_its_sample(hits, order)]
    table = hits.table[order]
    begins = np.flatnonzero(np.r_[True, table[1:] != table[:-1]])
    lengths = np.diff(np.r_[begins, len(table)])
    place_in_table = np.arange(len(table)) - np.repeat(begins, lengths)
    return take(hits, order[place_in_table < most_of(k, table)])


def most_of(k: int | I64, table: AnyArray) -> AnyArray:
    """Return how many hits each of these tables holds."""
    each = np.atleast_1d(np.asarray(k, np.int64))
    most: AnyArray = each[table % len(each)]
    return most


def _first_of_its_sample(hits: Hits, order: AnyArray) -> AnyArray:
    """Return which entries of ``order`` are the first of their (table, sample)."""
    table, high, low = hits.table[order], hits.sample_high[order], hits.sample_low[order]
    mixed = low ^ (table.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    by_mix = np.argsort(mixed, kind="stable")
    same = mixed[by_mix[1:]] == mixed[by_mix[:-1]]
    keep = np.ones(len(order), dtype=bool)
    if same.any():
        at = np.sort(by_mix[np.r_[same, False] | np.r_[False, same]])
        by_sample = at[np.lexsort((at, low[at], high[at], table[at]))]
        before, after = by_sample[:-1], by_sample[1:]
        again = (table[after] == table[before]) & (high[after] == high[before])
        keep[after[again & (low[after] == low[before])]] = False
    return keep
