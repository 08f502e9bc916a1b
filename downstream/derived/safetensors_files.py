"""Tensors of safetensors files as float32 arrays, mapped and not copied until they are asked for.

The library's NumPy side has no bfloat16, in which most models are published, so the header, a
length and a JSON object, is read here.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streams.arrays import F32
from streams.errors import ModelError
from streams.regular_files import open_regular, read_bounded
from streams.strict_json import JsonError, parse_json

_INDEX = ".index.json"
_MOST_HEADER = 100 * 2**20  # the library's own limit
_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_TENSORS = 2**20


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor lies: dtype as the format names it, offset in bytes from the file's start."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a file, or of all the files that an index names."""

    origin: Path
    places: Mapping[str, TensorPlace]

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; raises ModelError if there is none."""
        return self._place(name).shape

    def read(self, name: str) -> F32:
        """Return a tensor as float32; raises ModelError if there is none of floating point."""
        place = self._place(name)
        if place.dtype not in _NUMBERS:
            raise ModelError(f"{place.file}: {name} is of {place.dtype}, which is not read here")
        try:
            raw: Any = np.memmap(place.file, _NUMBERS[place.dtype], "r", place.offset, place.shape)
        except (OSError, ValueError) as error:
            raise ModelError(f"{place.file}: {name} cannot be read: {error}") from error
        if place.dtype == "BF16":  # the upper half of a float32
            found: F32 = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
            return found
        return np.array(raw, np.float32)

    def _place(self, name: str) -> TensorPlace:
        if name not in self.places:
            known = ", ".join(sorted(self.places)[:5])
            raise ModelError(f"{self.origin} has no tensor {name!r} (it has {known}, ...)")
        return self.places[name]


def open_tensors(place: Path, name: str = "model.safetensors") -> Tensors:
    """Return the tensors of a file, or of ``name`` or its shards in a folder.

    Raises ModelError for anything else, and for a file that its header does not fit.
    """
    if place.is_file():
        return Tensors(place, _header(place))
    if (place / name).is_file():
        return Tensors(place / name, _header(place / name))
    index = place / f"{name}{_INDEX}"
    if not index.is_file():
        raise ModelError(f"{place} has no {name}: weights are read from safetensors alone")
    found: dict[str, TensorPlace] = {}
    for shard in _shards(index):
        found |= _header(place / shard)
    return Tensors(index, found)


def _shards(index: Path) -> list[str]:
    try:
        listed = parse_json(read_bounded(index, _MOST_HEADER), _MOST_HEADER)
    except (OSError, JsonError) as error:
        raise ModelError(f"{index} cannot be read: {error}") from error
    files = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(files, dict) or not files:
        raise ModelError(f"{index} has no weight_map")
    names = list(dict.fromkeys(map(str, files.values())))
    if wrong := next((n for n in names if Path(n).name != n or not n.endswith(".safetensors")), ""):
        raise ModelError(f"{index} names {wrong[:80]!r}, which is no safetensors file beside it")
    return names


def _header(file: Path) -> dict[str, TensorPlace]:
    try:
        with open_regular(file) as opened:
            size = file.stat().st_size
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > min(_MOST_HEADER, size):
                raise ModelError(f"{file} is no safetensors file: its header is too long")
            listed = parse_json(opened.read(length), _MOST_HEADER)
    except (OSError, struct.error, JsonError) as error:
        raise ModelError(f"{file} is no safetensors file: {error}") from error
    if not isinstance(listed, dict) or len(listed) > _TENSORS:
        raise ModelError(f"{file} is no safetensors file: its header is no list of tensors")
    tensors = {name: entry for name, entry in listed.items() if name != "__metadata__"}
    return {name: _place(file, name, entry, 8 + length, size) for name, entry in tensors.items()}


def _place(file: Path, name: str, entry: Any, data: int, size: int) -> TensorPlace:
    """Return where a tensor lies; raises ModelError unless its bytes are in the file."""
    try:
        dtype, shape, (first, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, first, stop))
        bytes_each = np.dtype(_NUMBERS[dtype]).itemsize if dtype in _NUMBERS else None
        fits = bytes_each is None or stop - first == bytes_each * math.prod(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{file}: {name[:80]!r} has no dtype, shape and place") from error
    if not whole or not fits or first > stop or data + stop > size:
        raise ModelError(f"{file}: {name[:80]!r} lies outside of the file")
    return TensorPlace(file, str(dtype), shape, data + first)
