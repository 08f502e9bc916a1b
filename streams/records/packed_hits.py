"""Hits of one batch as they travel: what the reader can work out again is left out.

The form holds exactly its hits, to the last bit: packing compares whatever it leaves out, and hits
that have no such form travel as they are.
"""

from dataclasses import dataclass

import numpy as np

from streams.arrays import F32, I32, U8, U32
from streams.errors import ShapeError
from streams.records.hits import Hits

_BEYOND = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class PackedHits:
    """The hits of one batch, by table.

    keys and row: sample key and number of each row of the batch that has a hit, numbers rising.
    step: how much each hit's table is above the one before it. at: which of these rows it is. rows,
    member, position, value: as in Hits. A hit's score is its largest absolute value, and its peak
    the position of the first such value, except for the hits ``explicit``, which have them in
    ``score`` and ``peak``.
    """

    keys: U8
    row: I32
    step: U32
    at: U32
    rows: I32
    member: I32
    position: I32
    value: F32
    explicit: U32
    score: F32
    peak: I32


def pack_hits(hits: Hits, partition: int, sequence: int) -> PackedHits | None:
    """Return the form of these hits, None unless all are of this batch and by rising table."""
    if (hits.partition != partition).any() or (hits.sequence != sequence).any():
        return None
    if (hits.table[1:] < hits.table[:-1]).any() or (hits.rows < 0).any():
        return None
    row, first, at = np.unique(hits.row, return_index=True, return_inverse=True)
    high, low = hits.sample_high[first], hits.sample_low[first]
    if (hits.sample_high != high[at]).any() or (hits.sample_low != low[at]).any():
        return None
    score, peak = _strongest(hits.rows, hits.position, hits.value)
    explicit = (score.view(np.uint32) != hits.score.view(np.uint32)) | (peak != hits.peak)
    return PackedHits(
        keys=np.stack([high, low], axis=1).astype(">u8").view(np.uint8),
        row=row,
        step=np.diff(hits.table, prepend=np.uint32(0)),
        at=at.astype(np.uint32),
        rows=hits.rows,
        member=hits.member,
        position=hits.position,
        value=hits.value,
        explicit=np.flatnonzero(explicit).astype(np.uint32),
        score=hits.score[explicit],
        peak=hits.peak[explicit],
    )


def unpack_hits(packed: PackedHits, partition: int, sequence: int) -> Hits:
    """Return the hits; raises ShapeError unless the columns fit each other."""
    _check_hits(packed, partition)
    score, peak = _strongest(packed.rows, packed.position, packed.value)
    score[packed.explicit] = packed.score
    peak[packed.explicit] = packed.peak
    high, low = np.ascontiguousarray(packed.keys).view(">u8").astype(np.uint64).T.copy()
    return Hits(
        table=np.cumsum(packed.step, dtype=np.uint32),
        score=score,
        sample_high=high[packed.at],
        sample_low=low[packed.at],
        peak=peak,
        partition=np.full(len(packed.at), partition, np.int32),
        sequence=np.full(len(packed.at), sequence, np.int64),
        row=packed.row[packed.at],
        rows=packed.rows,
        member=packed.member,
        position=packed.position,
        value=packed.value,
    )


def _check_hits(packed: PackedHits, partition: int) -> None:
    given, hits, entries = len(packed.row), len(packed.step), len(packed.value)
    for names, length in (
        (("step", "at", "rows"), hits),
        (("member", "position", "value"), entries),
        (("explicit", "score", "peak"), len(packed.explicit)),
        (("row",), given),
    ):
        if any(getattr(packed, name).shape != (length,) for name in names):
            raise ShapeError(f"packed hits: {', '.join(names)} do not fit each other")
    if packed.keys.shape != (given, 16):
        raise ShapeError("packed hits: keys do not fit their rows")
    table = int(packed.step.sum(dtype=np.uint64))
    if (hits and int(packed.at.max()) >= given) or table >= 2 * _BEYOND:
        raise ShapeError("packed hits: a row or table lies outside")
    if hits and (packed.rows.min() < 0 or int(packed.rows.sum(dtype=np.int64)) != entries):
        raise ShapeError("packed hits: rows do not add up to their entries")
    if (not hits and entries) or (len(packed.explicit) and int(packed.explicit.max()) >= hits):
        raise ShapeError("packed hits: something belongs to no hit")
    if not -_BEYOND <= partition < _BEYOND:
        raise ShapeError("packed hits: no such partition")


def _strongest(rows: I32, position: I32, value: F32) -> tuple[F32, I32]:
    """Return the largest absolute value of each hit and where it first stands, 0 without any."""
    score, peak = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int32)
    some = np.flatnonzero(rows)
    if not len(some):
        return score, peak
    lengths = rows[some].astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    # Absolute values are ordered like their bits; below them stands how many entries follow.
    bits = np.abs(value).view(np.uint32).astype(np.uint64)
    follow = np.arange(len(value) - 1, -1, -1, dtype=np.uint64)
    largest = np.maximum.reduceat((bits << np.uint64(32)) | follow, starts)
    score[some] = (largest >> np.uint64(32)).astype(np.uint32).view(np.float32)
    first = len(value) - 1 - (largest & np.uint64(0xFFFFFFFF)).astype(np.int64)
    peak[some] = position[first]
    return score, peak
