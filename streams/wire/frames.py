"""Compressed bodies of records: small where numbers are alike, bounded for whoever reads them."""

from typing import Any

import numpy as np
import zstandard

from streams.arrays import AnyArray
from streams.errors import UndecodableError

MOST_GROWTH = 16
FREE_GROWTH = 2**16
"""A body is at most MOST_GROWTH times its frame and FREE_GROWTH bytes."""
_LEVEL = 1


def framed(body: bytes) -> bytes | None:
    """Return a Zstandard frame around a body; None if readers would take it for hostile."""
    # A new compressor each time: one serves one thread, and making it takes some 10 us.
    frame = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    return frame if len(body) <= _most(frame) else None


def unframed(frame: bytes) -> bytes:
    """Return the body of a frame; raises UndecodableError unless it is whole, alone and small."""
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if not 0 < size <= _most(frame):
            raise UndecodableError(f"a frame of {len(frame)} bytes claims {size} bytes")
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise UndecodableError(f"broken Zstandard frame, {error}") from error


def _most(frame: bytes) -> int:
    return MOST_GROWTH * len(frame) + FREE_GROWTH


def sorted_bytes(array: AnyArray) -> bytes:
    """Return the bytes of numbers, the lowest one of each first: alike, so that they compress."""
    if array.dtype.itemsize == 1:
        return array.tobytes()
    return array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize).T.tobytes()


def unsorted(data: bytes, dtype: "np.dtype[Any]") -> AnyArray:
    """Return the numbers of ``sorted_bytes``, in one dimension; a copy if several bytes long."""
    if dtype.itemsize == 1:
        return np.frombuffer(data, dtype)
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    numbers = np.empty(planes.shape[::-1], np.uint8)
    for place, plane in enumerate(planes):  # a fourth of the time that copying ``planes.T`` takes
        numbers[:, place] = plane
    return numbers.reshape(-1).view(dtype)
