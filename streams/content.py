"""The content hash: equal for equal dashboard data, however it was computed and cut into files.

SHA-256 over, table by table in the order of ``TABLES``: the table's name, then per column its name
and type, the lengths of its lists or strings (int64) and its values, little end first. Rows stand
in canonical order: by cluster, criterion and rank; samples by place and once each. No offset, time
or worker enters it. A table is taken in piece by piece, so none has to be in memory whole.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.errors import SnapshotError
from streams.snapshot import TABLES

Piece: TypeAlias = pa.Table | pa.RecordBatch


class _Hash(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


_SAMPLE_ORDER = [(name, "ascending") for name in ("partition", "sequence", "row")]


def content_hash(tables: Mapping[str, pa.Table]) -> str:
    """Return the hash of a snapshot's tables, 64 hexadecimal digits.

    Raises SnapshotError if a table is missing or has other columns.
    """
    pieces = {}
    for name in TABLES:
        if name not in tables:
            raise _other_columns(name)
        expect_columns(name, tables[name].schema)
        pieces[name] = [canonical(name, tables[name])]
    return hash_of_pieces(pieces)


def hash_of_pieces(pieces: Mapping[str, Iterable[Piece]]) -> str:
    """Return the same from each table's pieces, which come one by one in canonical order."""
    lines = (f"{name}:{_hash_in_pieces(schema, pieces[name])}" for name, schema in TABLES.items())
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def expect_columns(name: str, schema: pa.Schema) -> None:
    """Raise SnapshotError unless a schema is that of the table ``name``."""
    if not schema.equals(TABLES[name]):
        raise _other_columns(name)


def _other_columns(name: str) -> SnapshotError:
    return SnapshotError(f"the snapshot's table {name!r} is missing or has other columns")


def canonical(name: str, table: pa.Table) -> pa.Table:
    """Return a table in its canonical order; only samples, which shards share, are ever changed."""
    if name != "samples" or not len(table):
        return table
    table = table.sort_by(_SAMPLE_ORDER)
    columns = [table[key].to_numpy() for key, _ in _SAMPLE_ORDER]
    first = np.r_[True, np.logical_or.reduce([c[1:] != c[:-1] for c in columns])]
    return table if first.all() else table.filter(pa.array(first))


def table_hash(table: pa.Table) -> str:
    """Return the hash of one table in the order it is in."""
    return _hash_in_pieces(table.schema, [table])


def _hash_in_pieces(schema: pa.Schema, pieces: Iterable[Piece]) -> str:
    streams = [[hashlib.sha256() for _ in range(_depth(field.type))] for field in schema]
    rows = 0
    for piece in pieces:
        rows += len(piece)
        for column, hashes in zip(piece.columns, streams, strict=True):
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                _feed(hashes, chunk)
    digest = hashlib.sha256()
    for field, hashes in zip(schema, streams, strict=True):
        digest.update(f"{field.name} {_name(field.type)} {rows}\n".encode())
        for each in hashes:
            digest.update(each.digest())
    return digest.hexdigest()


def _name(kind: pa.DataType) -> str:
    """Return a type's name; Arrow's own depends on which file format it has been through."""
    return f"list {kind.value_type}" if pa.types.is_list(kind) else str(kind)


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
