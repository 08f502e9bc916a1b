"""Names of column types as manifests, the content hash and the page on formats write them."""

import re

import pyarrow as pa

from streams.errors import SnapshotError

_TYPES = {
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_FIXED = re.compile(r"binary\[(\d{1,4})\]")
_LIST = re.compile(r"list<(.+)>")
_MOST_NESTED = 4


def type_name(kind: pa.DataType) -> str:
    """Return the name of an Arrow type; raises SnapshotError for one that no table may have."""
    if pa.types.is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    if pa.types.is_fixed_size_binary(kind):
        return f"binary[{kind.byte_width}]"
    if kind not in _NAMES:
        raise SnapshotError(f"a column of type {kind}, which tables of a snapshot do not have")
    return _NAMES[kind]


def type_of(name: str, nested: int = _MOST_NESTED) -> pa.DataType:
    """Return the Arrow type of a name; raises SnapshotError for an unknown one."""
    if inner := _LIST.fullmatch(name) if nested else None:
        return pa.list_(type_of(inner[1], nested - 1))
    if fixed := _FIXED.fullmatch(name):
        return pa.binary(int(fixed[1]))
    if name not in _TYPES:
        raise SnapshotError(f"a column of the unknown type {name[:80]!r}")
    return _TYPES[name]
