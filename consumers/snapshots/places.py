"""The places in the corpus that the hits of a snapshot name, over all shards, each once.

Shards share places: a row may be an example of clusters of several shards, so that none could write
its samples without writing some of another's. The assembler takes the places from the files of
hits, holds 8 bytes of each, and writes the samples of all shards.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from streams.arrays import I64
from streams.errors import SnapshotError
from streams.snapshots.tables import SAMPLES

PLACE = SAMPLES.key
_ROW_BITS = 31
_BEYOND = 2**32


Places = tuple[I64, I64, I64]
"""Partition, sequence and row of each."""


def merged_places(parts: Sequence[Places]) -> Places:
    """Return the places of several results of ``distinct_places`` as one such result."""
    return distinct_places(
        pa.record_batch([pa.array(column) for column in part], list(PLACE)) for part in parts
    )


def distinct_places(pieces: Iterable[pa.RecordBatch]) -> Places:
    """Return partition, sequence and row of the places in columns of that name, sorted, each once.

    Raises SnapshotError if a place is so far out that no log could hold it.
    """
    found: dict[int, list[I64]] = {}
    for piece in pieces:
        partition, sequence, row = (
            piece.column(name).to_numpy().astype(np.int64) for name in PLACE
        )
        if len(sequence) and (min(sequence.min(), row.min()) < 0 or sequence.max() >= _BEYOND):
            raise SnapshotError(
                f"hits name places from row {row.min():,} on and up to {sequence.max():,} batches "
                "far in a partition, which no log could hold"
            )
        packed = (sequence << _ROW_BITS) | row
        for number in np.unique(partition).tolist():
            kept = found.setdefault(number, [np.zeros(0, np.int64)])
            kept.append(np.unique(packed[partition == number]))
            if sum(map(len, kept[1:])) > len(kept[0]):  # so that each is sorted in a few times only
                kept[:] = [np.unique(np.concatenate(kept))]
    whole = {number: np.unique(np.concatenate(found[number])) for number in sorted(found)}
    packed = np.concatenate([np.zeros(0, np.int64), *whole.values()])
    counts = [len(each) for each in whole.values()]
    partition = np.repeat(np.array(list(whole), np.int64), counts)
    return partition, packed >> _ROW_BITS, packed & (2**_ROW_BITS - 1)
