"""The text of a snapshot's examples in memory: token ids of every sample, found by place."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from streams.arrays import I32, I64, AnyArray
from streams.bounds import MAX_VOCABULARY
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_pieces

_IN_MEMORY = 128 * 2**20
"""Bytes of token ids beyond which they go to a temporary file."""

_DENSE = 16
"""Places that a corpus may have per sample here, for a table of all of them."""

_PLACE = ("partition", "sequence", "row")


@dataclass(frozen=True, eq=False)
class StoredText:
    """Samples, numbered in the order of their files.

    ids: the token ids of all samples, one after the other; those of sample s are first[s] to
    first[s + 1] - 1. places: as sorted keys, with the sample of each. keys: sample keys.
    """

    ids: AnyArray
    first: I64
    keys: pa.Array
    documents: pa.Array
    domains: pa.Array
    places: "PlaceIndex"

    def __len__(self) -> int:
        return len(self.first) - 1

    def row(self, sample: int) -> list[int]:
        """Return the token ids of a sample."""
        found: list[int] = self.ids[self.first[sample] : self.first[sample + 1]].tolist()
        return found


class PlaceIndex:
    """Finds samples by their place. places: [sample, 3] (partition, sequence, row).

    Raises ValueError for a place that is negative, or numbers that do not fit 63 bits together.
    """

    def __init__(self, places: I64) -> None:
        self._top = places.max(axis=0, initial=0) + 1
        if places.min(initial=0) < 0 or np.prod(self._top.astype(float)) >= 2.0**63:
            raise ValueError("it has samples at places that no corpus has")
        keys = self._keys(places)
        self._places = places
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        self._dense: I32 | None = None
        if np.prod(self._top) <= _DENSE * (len(places) + 2**16):  # then it is four times as fast
            self._dense = np.full(int(np.prod(self._top)), -1, np.int32)
            self._dense[keys] = np.arange(len(places))

    def place(self, sample: int) -> tuple[int, int, int]:
        """Return the place of a sample."""
        partition, sequence, row = self._places[sample].tolist()
        return partition, sequence, row

    def find(self, places: AnyArray) -> I64:
        """Return the samples at places [n, 3]; -1 where there is none."""
        if not len(self._sorted):
            return np.full(len(places), -1, np.int64)
        inside = ((places >= 0) & (places < self._top)).all(axis=1)
        asked = self._keys(places * inside[:, None])
        if self._dense is not None:
            return np.where(inside, self._dense[asked], -1)
        at = np.searchsorted(self._sorted, asked).clip(max=len(self._sorted) - 1)
        return np.where(inside & (self._sorted[at] == asked), self._order[at], -1)

    def _keys(self, places: AnyArray) -> I64:
        partition, sequence, row = places.T.astype(np.int64)
        found: I64 = (partition * int(self._top[1]) + sequence) * int(self._top[2]) + row
        return found


def read_stored_text(manifest: RunManifest) -> StoredText:
    """Read all samples of a snapshot, each file compared with its checksum.

    Raises SnapshotError if they cannot be read, ValueError if they make no sense.
    """
    small = int(manifest.about.get("vocabulary", MAX_VOCABULARY)) <= 2**16
    ids = _TokenIds(np.uint16 if small else np.int32)
    places, lengths = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    keys, documents, domains = [], [], []
    for piece in _pieces(manifest):
        ids.add(piece["ids"].flatten().to_numpy(zero_copy_only=False))
        lengths.append(np.diff(piece["ids"].offsets.to_numpy()))
        places.append(np.stack([piece[n].to_numpy() for n in _PLACE], axis=1).astype(np.int64))
        keys.append(piece["sample"])
        documents.append(piece["document"])
        domains.append(piece["domain"])
    return StoredText(
        ids=ids.joined(),
        first=np.r_[0, np.cumsum(np.concatenate(lengths))],
        keys=_joined(keys, pa.binary(16)),
        documents=_joined(documents, pa.string()).dictionary_encode(),
        domains=_joined(domains, pa.string()).dictionary_encode(),
        places=PlaceIndex(np.concatenate(places)),
    )


def _pieces(manifest: RunManifest) -> Iterator[pa.RecordBatch]:
    columns = (*_PLACE, "sample", "document", "domain", "ids")
    for part in read_pieces(manifest, "samples", columns=columns, check=True):
        yield from part


class _TokenIds:
    """Token ids as they come, in memory, or in a temporary file once they are many."""

    def __init__(self, kind: Any) -> None:
        self._kind = np.dtype(kind)
        self._parts: list[AnyArray] = []
        self._bytes = 0
        self._file: Any = None

    def add(self, ids: AnyArray) -> None:
        if len(ids) and not 0 <= ids.min() <= ids.max() <= np.iinfo(self._kind).max:
            raise ValueError("its samples hold tokens that are not of its vocabulary")
        self._parts.append(ids.astype(self._kind))
        self._bytes += self._parts[-1].nbytes
        if self._file is None and self._bytes > _IN_MEMORY:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - the memory map keeps it
        if self._file is not None:
            for part in self._parts:
                self._file.write(part.tobytes())
            self._parts.clear()

    def joined(self) -> AnyArray:
        if self._file is None:
            return np.concatenate([np.zeros(0, self._kind), *self._parts])
        self._file.flush()
        return np.memmap(self._file, dtype=self._kind, mode="r")


def _joined(parts: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    return pa.concat_arrays(parts) if parts else pa.array([], kind)
