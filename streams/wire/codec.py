"""The wire format: a version byte, a byte for the form, then a MessagePack map of the fields.

Arrays travel as ``[dtype, shape, bytes]``; integer arrays take the narrowest type that holds
their values and come back in the declared one. Readers ignore fields they do not know and fill
missing ones from the dataclass defaults, so that fields can be added but never change meaning. A
field made by ``later`` is left out where it holds its default: older records keep their bytes.

The packed form of a record that has one is a Zstandard frame around such a map, in which the bytes
of an array are sorted by their place in the number (all lowest bytes first).

A decoder allocates no more than a multiple of the bytes it was given; see ``frames`` for what a
frame may hold.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgpack
import numpy as np

from streams import bounds
from streams.arrays import AnyArray
from streams.errors import ShapeError, UndecodableError, VersionError
from streams.wire import frames

VERSION = 2
PLAIN, PACKED = bytes((VERSION,)) + b"m", bytes((VERSION,)) + b"z"
_FRAME_OF_VERSION_1 = b"\x28\xb5\x2f\xfd"  # version 1 put 2 before the frames of its packed forms
_NARROW = tuple(
    (name, np.iinfo(name).min, np.iinfo(name).max) for name in ("|u1", "<u2", "<u4", "<i8")
)
_WIRE_DTYPES = {"|b1", "|u1", "<u2", "<u4", "<u8", "<i4", "<i8", "<f4", "<f8"}
_MAX_DIMENSIONS = 3
_MAX_EMPTY = 2**20  # sizes beside a 0 cost no bytes, but numpy multiplies them

T = TypeVar("T")


class Packable(Protocol):
    """A record with a packed form, which is a dataclass named ``PACKED`` in its own class.

    The packed form has a method ``unpacked`` that returns the record or raises RecordError.
    """

    PACKED: typing.ClassVar[type]

    def packed(self) -> Any:
        """Return the packed form, from which the same record comes back; None if it has none."""


def later(default: T) -> T:
    """Return a dataclass field that a record got after a release. default: what went before it."""
    return dataclasses.field(default=default, metadata={"later": True})


def encode(record: Any) -> bytes:
    """Return the bytes of a record (any of our dataclasses)."""
    body = msgpack.packb(_lower(record, np.ndarray.tobytes), use_bin_type=True)
    return PLAIN + typing.cast(bytes, body)


def encode_packed(record: Packable) -> bytes:
    """Return the bytes of a record's packed form.

    A record without one, and a body that a frame shrinks so much that readers take it for hostile,
    go as they are.
    """
    packed = record.packed()
    if packed is None:
        return encode(record)
    body = typing.cast(bytes, msgpack.packb(_lower(packed, frames.sorted_bytes), use_bin_type=True))
    frame = frames.framed(body)
    return encode(record) if frame is None else PACKED + frame


def decode(kind: type[T], data: bytes | None) -> T:
    """Return the record that ``data`` holds.

    Raises UndecodableError for anything but the bytes of a ``kind``, VersionError for those of
    another version, and ShapeError for fields that hold what they may not (see bounds.py) or a
    packed form whose parts do not fit each other.
    """
    if not data:
        raise UndecodableError("it is empty")
    if not data[0]:
        raise UndecodableError("its first byte names no version")
    if data[0] != VERSION or data[1:5] == _FRAME_OF_VERSION_1:
        raise VersionError(found=data[0] if data[0] > VERSION else 1, ours=VERSION)
    head, body = data[:2], data[2:]
    if head == PLAIN:
        return typing.cast(T, _raised(kind, memoryview(body), np.frombuffer))
    packed = getattr(kind, "PACKED", None)
    if head != PACKED or packed is None:
        raise UndecodableError(f"unknown second byte of a {kind.__name__}: {head[1:]!r}")
    return typing.cast(T, _raised(packed, frames.unframed(body), frames.unsorted).unpacked())


def _raised(kind: Any, packed: bytes | memoryview, ordered: "_Order") -> Any:
    try:
        _walk(packed)
        body = msgpack.unpackb(packed, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise UndecodableError(f"broken MessagePack, {reason}") from error
    return _raiser(kind, ordered)(body, kind.__name__)


def _walk(packed: bytes | memoryview) -> None:
    """Read over a value without building it, and raise if it is cut short.

    Building makes room for as many items as each header claims, so a few nested claims that no
    bytes stand behind would take memory without limit.
    """
    walker = msgpack.Unpacker(max_buffer_size=len(packed))
    walker.feed(packed)
    walker.skip()


_Wire = Callable[[AnyArray], bytes]


def _lower(value: Any, wire: _Wire) -> Any:
    if isinstance(value, np.ndarray):
        return _lower_array(value, wire)
    if dataclasses.is_dataclass(value):
        sent = (f for f in dataclasses.fields(value) if not is_left_out(f, value))
        return {f.name: _lower(getattr(value, f.name), wire) for f in sent}
    if isinstance(value, tuple | list):
        return [_lower(item, wire) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def is_left_out(field: dataclasses.Field[Any], value: Any) -> bool:
    """Return whether a record says nothing of a field, which came later and has its default."""
    if "later" not in field.metadata:
        return False
    found = getattr(value, field.name)
    return not isinstance(found, np.ndarray) and bool(found == field.default)


def _lower_array(array: AnyArray, wire: _Wire) -> list[Any]:
    if array.dtype.kind in "iu" and array.dtype.itemsize > 1 and array.size:
        low, high = int(array.min()), int(array.max())
        for narrow, least, most in _NARROW:
            if least <= low and high <= most:
                array = array.astype(narrow)
                break
    little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    array = np.ascontiguousarray(array, dtype=little)
    return [array.dtype.str, list(array.shape), wire(array)]


_Order = Callable[[bytes, Any], AnyArray]
_Raiser = Callable[[Any, str], Any]


@functools.cache
def _raiser(kind: Any, ordered: _Order) -> _Raiser:
    """Return the function that turns a lowered value back into a ``kind``, or refuses it."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        base, *rules = typing.get_args(kind)
        if isinstance(rules[0], str):
            dtype = np.dtype(rules[0])
            return lambda value, where: _raise_array(value, dtype, where, ordered)
        raised = _raiser(base, ordered)
        return lambda value, where: _raise_bounded(raised(value, where), tuple(rules), where)
    if origin is tuple:
        given = typing.get_args(kind)[0]
        item = _raiser(given, ordered)
        if given is str:
            return lambda value, where: _raise_texts(value, item, where)
        return lambda value, where: _raise_tuple(value, item, where)
    if origin in (typing.Union, types.UnionType):
        inner = next(a for a in typing.get_args(kind) if a is not type(None))
        some = _raiser(inner, ordered)
        return lambda value, where: None if value is None else some(value, where)
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        return lambda value, where: _raise_literal(value, allowed, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass_raiser(typing.cast(type, kind), ordered)
    return lambda value, where: _raise_scalar(value, kind, where)


def _dataclass_raiser(kind: type, ordered: _Order) -> _Raiser:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [(f.name, _raiser(hints[f.name], ordered)) for f in dataclasses.fields(kind)]
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


def _raise_bounded(value: Any, rules: tuple[Any, ...], where: str) -> Any:
    if (wrong := bounds.fault(value, rules)) is not None:
        raise ShapeError(f"{where} {wrong}")
    return value


def _raise_array(value: Any, dtype: np.dtype[Any], where: str, ordered: _Order) -> Any:
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
    array = ordered(data, found).reshape(shape)
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


def _raise_texts(value: Any, item: _Raiser, where: str) -> tuple[Any, ...]:
    """Return a tuple of texts, of which batches have two for each row: looked at all together."""
    if isinstance(value, list) and set(map(type, value)) <= {str}:
        return tuple(value)
    return _raise_tuple(value, item, where)


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
