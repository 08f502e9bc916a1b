"""The wire format: one version byte, then a MessagePack map of the record's fields.

Arrays travel as ``[dtype, shape, bytes]``; integer arrays take the narrowest type that holds
their values and come back in the declared one. Readers ignore fields they do not know and fill
missing ones from the dataclass defaults, so that fields can be added but never change meaning.
A decoder allocates no more than a small multiple of the bytes it was given.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import msgpack
import numpy as np

from streams.errors import UndecodableError, VersionError

VERSION = 1
_NARROW = tuple(
    (name, np.iinfo(name).min, np.iinfo(name).max) for name in ("|u1", "<u2", "<u4", "<i8")
)
_WIRE_DTYPES = {"|b1", "|u1", "<u2", "<u4", "<u8", "<i4", "<i8", "<f4", "<f8"}
_MAX_DIMENSIONS = 3
_MAX_EMPTY = 2**20  # sizes beside a 0 cost no bytes, but numpy multiplies them

T = TypeVar("T")


def encode(record: Any) -> bytes:
    """Return the bytes of a record (any of our dataclasses)."""
    body = msgpack.packb(_lower(record), use_bin_type=True)
    return bytes((VERSION,)) + typing.cast(bytes, body)


def decode(kind: type[T], data: bytes | None) -> T:
    """Return the record that ``data`` holds.

    Raises UndecodableError for anything but the bytes of a ``kind``, and VersionError for those of
    a newer program.
    """
    if not data:
        raise UndecodableError("it is empty")
    if data[0] > VERSION:
        raise VersionError(found=data[0], newest=VERSION)
    if data[0] != VERSION:
        raise UndecodableError(f"unknown first byte {data[0]}")
    try:
        _walk(memoryview(data)[1:])
        body = msgpack.unpackb(memoryview(data)[1:], raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise UndecodableError(f"broken MessagePack, {reason}") from error
    return typing.cast(T, _raiser(typing.cast(Any, kind))(body, kind.__name__))


def _walk(packed: memoryview) -> None:
    """Read over a value without building it, and raise if it is cut short.

    Building makes room for as many items as each header claims, so a few nested claims that no
    bytes stand behind would take memory without limit.
    """
    walker = msgpack.Unpacker(max_buffer_size=len(packed))
    walker.feed(packed)
    walker.skip()


def _lower(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _lower_array(value)
    if dataclasses.is_dataclass(value):
        return {f.name: _lower(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_lower(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _lower_array(array: np.ndarray[Any, Any]) -> list[Any]:
    if array.dtype.kind in "iu" and array.dtype.itemsize > 1 and array.size:
        low, high = int(array.min()), int(array.max())
        for narrow, least, most in _NARROW:
            if least <= low and high <= most:
                array = array.astype(narrow)
                break
    little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    array = np.ascontiguousarray(array, dtype=little)
    return [array.dtype.str, list(array.shape), array.tobytes()]


_Raiser = Callable[[Any, str], Any]


@functools.cache
def _raiser(kind: Any) -> _Raiser:
    """Return the function that turns a lowered value back into a ``kind``, or refuses it."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        dtype = np.dtype(typing.get_args(kind)[1])
        return lambda value, where: _raise_array(value, dtype, where)
    if origin is tuple:
        item = _raiser(typing.get_args(kind)[0])
        return lambda value, where: _raise_tuple(value, item, where)
    if origin in (typing.Union, types.UnionType):
        inner = next(a for a in typing.get_args(kind) if a is not type(None))
        some = _raiser(inner)
        return lambda value, where: None if value is None else some(value, where)
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        return lambda value, where: _raise_literal(value, allowed, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass_raiser(typing.cast(type, kind))
    return lambda value, where: _raise_scalar(value, kind, where)


def _dataclass_raiser(kind: type) -> _Raiser:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [(f.name, _raiser(hints[f.name])) for f in dataclasses.fields(kind)]
    required = {
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }

    def raise_record(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise UndecodableError(f"{where} is no map")
        missing = required - value.keys()
        if missing:
            raise UndecodableError(f"{where} lacks {', '.join(sorted(missing))}")
        known = {n: up(value[n], f"{where}.{n}") for n, up in fields if n in value}
        return kind(**known)

    return raise_record


def _raise_array(value: Any, dtype: np.dtype[Any], where: str) -> Any:
    if not (isinstance(value, list) and len(value) == 3):
        raise UndecodableError(f"{where} is no array")
    name, shape, data = value
    if not isinstance(name, str) or name not in _WIRE_DTYPES or not isinstance(data, bytes):
        raise UndecodableError(f"{where} is no array of a known type")
    sizes_fit = isinstance(shape, list) and 0 < len(shape) <= _MAX_DIMENSIONS
    if not sizes_fit or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise UndecodableError(f"{where} has no usable shape")
    found = np.dtype(name)
    count = 1
    for n in shape:
        count *= n
    if count * found.itemsize != len(data) or (not count and sum(shape) > _MAX_EMPTY):
        raise UndecodableError(f"{where} has {len(data)} bytes for shape {shape}")
    if found.kind == "b" and data.translate(None, b"\0\1"):
        raise UndecodableError(f"{where} holds truth values other than 0 and 1")
    array = np.frombuffer(data, dtype=found).reshape(shape)
    if found == dtype:
        return array
    if found.kind not in "iu" or dtype.kind not in "iu":
        raise UndecodableError(f"{where} holds {found}, not {dtype}")
    limits = np.iinfo(dtype)
    if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise UndecodableError(f"{where} has values outside {dtype}")
    return array.astype(dtype)


def _raise_tuple(value: Any, item: _Raiser, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise UndecodableError(f"{where} is no list")
    return tuple(item(entry, where) for entry in value)


def _raise_literal(value: Any, allowed: tuple[Any, ...], where: str) -> Any:
    if value not in allowed:
        raise UndecodableError(f"{where} is none of {', '.join(map(str, allowed))}")
    return value


def _raise_scalar(value: Any, kind: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UndecodableError(f"{where} is no {kind.__name__}")
    if kind is int and not -(2**63) <= value < 2**63:
        raise UndecodableError(f"{where} does not fit 64 bits")
    return value
