"""The samples of several shards in one order, piece by piece: shards share places."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from streams.arrays import AnyArray
from streams.content import canonical
from streams.errors import SnapshotError

Place = tuple[int, int, int]


def merged_samples(files: Sequence[Iterator[pa.RecordBatch]]) -> Iterator[pa.Table]:
    """Yield the samples of files, each in the order of places, in canonical order.

    Each step takes from every file the rows up to the nearest place at which a piece in hand ends,
    so that no more than a piece of each file is in memory. Raises SnapshotError if a file is in
    another order.
    """
    pieces = [_in_order(file) for file in files]
    heads = [next(each, None) for each in pieces]
    while waiting := [(at, head) for at, head in enumerate(heads) if head is not None]:
        bound = min(_place(head, -1) for _, head in waiting)
        taken = []
        for at, head in waiting:
            count = int(np.count_nonzero(_until(head, bound)))
            taken.append(head.slice(0, count))
            heads[at] = head.slice(count) if count < len(head) else next(pieces[at], None)
        yield canonical("samples", pa.Table.from_batches(taken))


def _in_order(file: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the pieces of a file that hold something; raise unless its places rise."""
    last: Place = (-1, -1, -1)
    for piece in file:
        if not len(piece):
            continue
        columns = _columns(piece)
        later = np.zeros(len(piece), bool)
        for column, before in zip(columns[::-1], last[::-1], strict=True):
            previous = np.r_[before, column[:-1]]
            later = (column > previous) | ((column == previous) & later)
        if not later.all():
            raise SnapshotError("a file of samples is not in the order of their places")
        last = _place(piece, -1)
        yield piece


def _columns(piece: pa.RecordBatch) -> list[AnyArray]:
    return [piece.column(name).to_numpy() for name in ("partition", "sequence", "row")]


def _place(piece: pa.RecordBatch, at: int) -> Place:
    partition, sequence, row = (int(column[at]) for column in _columns(piece))
    return partition, sequence, row


def _until(piece: pa.RecordBatch, bound: Place) -> AnyArray:
    """Return which rows of a piece stand at ``bound`` or before."""
    before = np.ones(len(piece), bool)
    for column, limit in zip(_columns(piece)[::-1], bound[::-1], strict=True):
        before = (column < limit) | ((column == limit) & before)
    return before
