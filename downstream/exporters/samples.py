"""Token ids of samples by place, kept in a file beside the export: memory is 32 bytes a sample."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.reading.snapshot import Snapshot
from streams.arrays import I32, I64
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_pieces

_PLACE = ("partition", "sequence", "row")
_KEY = np.dtype([("partition", ">u4"), ("sequence", ">u8"), ("row", ">u4")])

Keys = np.ndarray[Any, np.dtype[np.bytes_]]


class SampleIds:
    """The token ids of every sample of a snapshot, by the order of their places."""

    def __init__(self, file: int, keys: Keys, starts: I64, lengths: I64) -> None:
        self._file = file
        self._keys = keys
        self._starts = starts
        self._lengths = lengths

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def longest(self) -> int:
        """Tokens of the longest sample."""
        return int(self._lengths.max(initial=0))

    def numbers(self, hits: pa.Table) -> I64:
        """Return the number of the sample at the place of each hit.

        Raises SnapshotError if the snapshot lacks one.
        """
        wanted = _keys(hits)
        found = np.searchsorted(self._keys, wanted)
        inside = np.minimum(found, max(len(self._keys) - 1, 0))
        if len(wanted) and not (len(self._keys) and np.array_equal(self._keys[inside], wanted)):
            raise SnapshotError("the snapshot lacks the sample of an example")
        return found.astype(np.int64)

    def ids(self, number: int) -> I32:
        """Return the token ids of a sample, by its number."""
        size = 4 * int(self._lengths[number])
        return np.frombuffer(os.pread(self._file, size, 4 * int(self._starts[number])), np.int32)


@contextmanager
def sample_ids(snapshot: Snapshot, folder: Path) -> Iterator[SampleIds]:
    """Yield the samples' token ids, in a nameless file in a folder that is gone at the end."""
    with tempfile.TemporaryFile(dir=folder) as file:
        keys: list[Keys] = [np.zeros(0, f"S{_KEY.itemsize}")]
        lengths: list[I64] = [np.zeros(0, np.int64)]
        for pieces in read_pieces(snapshot.manifest, "samples", columns=(*_PLACE, "ids")):
            for piece in pieces:
                ids = piece.column("ids")
                file.write(np.ascontiguousarray(ids.flatten().to_numpy(zero_copy_only=False)).data)
                keys.append(_keys(piece))
                lengths.append(np.diff(ids.offsets.to_numpy()).astype(np.int64))
        file.flush()
        every, sizes = np.concatenate(keys), np.concatenate(lengths)
        starts = np.cumsum(sizes) - sizes
        if len(every) > 1 and not (every[:-1] < every[1:]).all():
            order = np.argsort(every, kind="stable")
            every, starts, sizes = every[order], starts[order], sizes[order]
        yield SampleIds(file.fileno(), every, starts, sizes)


def _keys(rows: pa.Table | pa.RecordBatch) -> Keys:
    """Return places as texts of 16 bytes that are ordered as the places are."""
    found = np.empty(rows.num_rows, _KEY)
    for name in _PLACE:
        found[name] = rows.column(name).to_numpy()
    return found.view(f"S{_KEY.itemsize}")
