"""Arrays of token ids: NumPy's ``.npy``, and plain numbers as ``.bin``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.opening import Opened
from streams.errors import CorpusError

MAGIC = b"\x93NUMPY"
DTYPES = ("uint8", "uint16", "uint32", "int32", "int64")


class Npy:
    """NumPy arrays: [row, position], a document per row; or [token], one document."""

    name = "npy"
    suffixes = (".npy",)

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return whether the file begins as NumPy's do."""
        return head.startswith(MAGIC)

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield the rows; ids are ``name:row``, counted from 1, or ``name`` for a single one."""
        try:
            array = _mapped(file)
        except (ValueError, OverflowError, MemoryError) as error:
            bad.add(file.address, f"it is no readable array ({error})", file.head)
            return
        if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
            shape = " x ".join(map(str, array.shape))
            bad.add(file.address, f"it holds {array.dtype} of shape {shape}, no rows of token ids")
            return
        yield from _rows(array, file, bad)


@dataclass(frozen=True, slots=True)
class TokenNumbers:
    """Token ids as plain numbers, little end first, one after the other; their type is stated."""

    name: str = "bin"
    suffixes: tuple[str, ...] = (".bin",)

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return False: numbers have no mark."""
        return False

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield the file as one document, which is cut into rows like a text.

        Raises CorpusError without a type.
        """
        if fields.tokens_dtype is None:
            raise CorpusError(
                f"{file.address} holds plain numbers: set tokens_dtype to one of "
                f"{', '.join(DTYPES)}, or read it as text with --format text"
            )
        dtype = np.dtype(fields.tokens_dtype).newbyteorder("<")
        array, size = _numbers(file, dtype)
        if size % dtype.itemsize:
            cause = f"its {size:,} bytes are no whole number of {dtype.name}"
            bad.add(file.address, cause, file.head)
        yield from _rows(array, file, bad)


def _numbers(file: Opened, dtype: Any) -> tuple[Any, int]:
    """Return the numbers of a file, mapped where it is on disk, and its size in bytes."""
    size = 0 if file.path is None else file.path.stat().st_size
    if file.path is not None and size >= dtype.itemsize:
        return np.memmap(file.path, dtype, "r", shape=(size // dtype.itemsize,)), size
    data = file.in_memory()
    usable = len(data) - len(data) % dtype.itemsize
    return np.frombuffer(data[:usable], dtype), len(data)


def _mapped(file: Opened) -> Any:
    if file.path is not None:
        return np.load(file.path, mmap_mode="r", allow_pickle=False)
    return np.load(file.seekable(), allow_pickle=False)


def _rows(array: Any, file: Opened, bad: RefusedDocuments) -> Iterator[Document]:
    if array.ndim == 1:
        yield from _row(array, file.name, file.address, bad, joined=True)
        return
    for number, row in enumerate(array, start=1):
        where = f"{file.address} row {number}"
        yield from _row(row, f"{file.name}:{number}", where, bad)


def _row(
    row: Any, name: str, where: str, bad: RefusedDocuments, joined: bool = False
) -> Iterator[Document]:
    if len(row) and row.dtype.kind == "i" and int(row.min()) < 0:
        bad.add(where, "it holds a negative token id", row[:64].tobytes())
    elif len(row):
        yield Document(name, "", "", tokens=row, joined=joined)
