"""The content hash: equal for equal dashboard data, however it was computed and cut into files.

SHA-256 over, table by table in the order of ``TABLES``: the table's name, then per column its name
and type, the lengths of its lists or strings (int64) and its values, little end first. Rows stand
in canonical order: by cluster, criterion and rank; samples by place and once each. No offset, time
or worker enters it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.errors import SnapshotError
from streams.snapshot import TABLES

_SAMPLE_ORDER = [(name, "ascending") for name in ("partition", "sequence", "row")]


def content_hash(tables: Mapping[str, pa.Table]) -> str:
    """Return the hash of a snapshot's tables, 64 hexadecimal digits.

    Raises SnapshotError if a table is missing or has other columns.
    """
    whole = hashlib.sha256()
    for name, schema in TABLES.items():
        table = tables.get(name)
        if table is None or not table.schema.equals(schema):
            raise SnapshotError(f"the snapshot's table {name!r} is missing or has other columns")
        whole.update(f"{name}:{table_hash(canonical(name, table))}\n".encode())
    return whole.hexdigest()


def canonical(name: str, table: pa.Table) -> pa.Table:
    """Return a table in its canonical order; only samples, which shards share, are ever changed."""
    if name != "samples" or not len(table):
        return table
    table = table.sort_by(_SAMPLE_ORDER)
    columns = [table[key].to_numpy() for key, _ in _SAMPLE_ORDER]
    first = np.r_[True, np.logical_or.reduce([c[1:] != c[:-1] for c in columns])]
    return table.filter(pa.array(first))


def table_hash(table: pa.Table) -> str:
    """Return the hash of one table in the order it is in."""
    digest = hashlib.sha256()
    for field in table.schema:
        digest.update(f"{field.name} {_name(field.type)} {len(table)}\n".encode())
        for part in _streams(table[field.name].chunks, field.type):
            digest.update(part)
    return digest.hexdigest()


def _name(kind: pa.DataType) -> str:
    """Return a type's name; Arrow's own depends on which file format it has been through."""
    return f"list {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def _streams(chunks: list[pa.Array], kind: pa.DataType) -> Iterator[bytes]:
    """Yield one digest per stream of a column: lengths if it has them, then values."""
    if pa.types.is_list(kind):
        yield _digest(_lengths(chunk) for chunk in chunks)
        yield from _streams([chunk.flatten() for chunk in chunks], kind.value_type)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        yield _digest(_lengths(chunk) for chunk in chunks)
        yield _digest(b"".join(_bytes(chunk)) for chunk in chunks)
    elif pa.types.is_fixed_size_binary(kind):
        yield _digest(b"".join(chunk.to_pylist()) for chunk in chunks)
    else:
        yield _digest(_values(chunk) for chunk in chunks)


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _lengths(chunk: pa.Array) -> bytes:
    lengths = (
        pc.list_value_length(chunk) if pa.types.is_list(chunk.type) else pc.binary_length(chunk)
    )
    return bytes(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())


def _bytes(chunk: pa.Array) -> Iterator[bytes]:
    for value in chunk.to_pylist():
        yield value.encode() if isinstance(value, str) else value


def _values(chunk: pa.Array) -> bytes:
    array = chunk.to_numpy(zero_copy_only=False)
    little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    return np.ascontiguousarray(array, dtype=little).tobytes()
