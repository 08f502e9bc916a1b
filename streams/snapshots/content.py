"""The content hash: equal for equal dashboard data, however it was computed and cut into files.

A table's hash is a SHA-256 over, column by column, its name, type and number of rows, the lengths
of its lists or strings (int64) and its values, little end first. Rows stand in the order of the
table's key. No offset, time or worker enters it. A table is taken in piece by piece, so none has
to be in memory whole. The content is the hash over the hashes of the tables that a run names.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.errors import SnapshotError
from streams.snapshots.column_types import type_name
from streams.snapshots.tables import TABLES, TableForm

Piece: TypeAlias = pa.Table | pa.RecordBatch


class _Hash(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Hashed:
    """What a table holds: its number of rows, and the hash of its columns and rows."""

    rows: int
    hash: str


def content_of(hashes: Mapping[str, str]) -> str:
    """Return the content hash over the hashes of tables by their names, 64 hexadecimal digits."""
    lines = "".join(f"{name}:{hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def content_hash(tables: Mapping[str, pa.Table], forms: Mapping[str, TableForm] = TABLES) -> str:
    """Return the content hash of tables that are in memory, whose rows are in order.

    forms: the tables that the run has. Raises SnapshotError if one is missing, or has other
    columns.
    """
    hashes = {}
    for name, form in forms.items():
        if name not in tables or not tables[name].schema.equals(form.schema):
            raise SnapshotError(f"the snapshot's table {name!r} is missing or has other columns")
        hashes[name] = table_hash(form.schema, [tables[name]]).hash
    return content_of(hashes)


class ColumnHash:
    """What was seen of a column so far, piece by piece: its cells, and hashes over them."""

    def __init__(self, kind: pa.DataType) -> None:
        self.rows = 0
        self._streams: list[_Hash] = [hashlib.sha256() for _ in range(_depth(kind))]

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        """Take in the next cells; raises SnapshotError if one has no value."""
        self.rows += len(column)
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            _feed(self._streams, chunk)

    def digest(self) -> bytes:
        """Return the digests of its streams, one after the other."""
        return b"".join(each.digest() for each in self._streams)


def table_hash(schema: pa.Schema, pieces: Iterable[Piece]) -> Hashed:
    """Return the hash of a table from its pieces, which come one by one in the table's order."""
    columns, rows = [ColumnHash(field.type) for field in schema], 0
    for piece in pieces:
        rows += len(piece)
        for column, hashed in zip(piece.columns, columns, strict=True):
            hashed.add(column)
    return hash_of(schema, rows, columns)


def hash_of(schema: pa.Schema, rows: int, columns: Sequence[ColumnHash]) -> Hashed:
    """Return the hash of a table of so many rows from those of its columns."""
    digest = hashlib.sha256()
    for field, hashed in zip(schema, columns, strict=True):
        digest.update(f"{field.name} {type_name(field.type)} {rows}\n".encode())
        digest.update(hashed.digest())
    return Hashed(rows, digest.hexdigest())


def _depth(kind: pa.DataType) -> int:
    """Return how many streams a column has: lengths where it has them, then values."""
    if pa.types.is_list(kind):
        return 1 + _depth(kind.value_type)
    return 2 if pa.types.is_string(kind) or pa.types.is_binary(kind) else 1


def _feed(hashes: Sequence[_Hash], chunk: pa.Array) -> None:
    """Add a chunk to the hashes of its column's streams; raise SnapshotError at a null."""
    if chunk.null_count:
        raise SnapshotError("a column of the snapshot has cells without a value")
    if len(hashes) > 1:
        hashes[0].update(_lengths(chunk))
    if pa.types.is_list(chunk.type):
        _feed(hashes[1:], chunk.flatten())
    elif len(chunk):
        hashes[-1].update(_values(chunk))


def _lengths(chunk: pa.Array) -> bytes:
    lengths = (
        pc.list_value_length(chunk) if pa.types.is_list(chunk.type) else pc.binary_length(chunk)
    )
    return bytes(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())


def _values(chunk: pa.Array) -> memoryview:
    """Return the values of a chunk one after the other, not copied where Arrow holds them so."""
    kind = chunk.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        _, offsets, data = chunk.buffers()
        bounds = np.frombuffer(offsets, np.int32, len(chunk) + 1, 4 * chunk.offset)
        return memoryview(data or b"")[bounds[0] : bounds[-1]]
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        return memoryview(chunk.buffers()[1])[chunk.offset * width :][: len(chunk) * width]
    array = chunk.to_numpy(zero_copy_only=False)
    little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    return np.ascontiguousarray(array, dtype=little).data.cast("B")
