"""Opening text files, compressed or not, and reading the formats that hold one document a line."""

import bz2
import gzip
import io
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from producers.documents import Document, Fields, Refusals, document_of
from streams.errors import CorpusError

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
BROKEN_FILE = (OSError, EOFError, zlib.error, lzma.LZMAError)
STDIN = "-"


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: _open_zstd(path),
}


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacking it by its suffix; ``-`` is standard input."""
    if str(path) == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise CorpusError(
                "there is no standard input: it is closed; pipe text in or name files"
            )
        return sys.stdin.buffer
    suffix = path.suffix.lower()
    if suffix in _OPENERS:
        return cast(BinaryIO, _OPENERS[suffix](path))
    return path.open("rb")


def _open_zstd(path: Path) -> io.BufferedReader:
    import pyarrow as pa

    stream = pa.CompressedInputStream(path, "zstd")
    return io.BufferedReader(cast(io.RawIOBase, stream))


def reason(error: BaseException) -> str:
    """Return why a file cannot be opened or read to its end, as one clause."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be read ({text})"


def read_text(path: Path, name: str, fields: Fields, bad: Refusals) -> Iterator[Document]:
    """Yield a whole file as one document called ``name``; it must be UTF-8."""
    with open_bytes(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        bad.add(f"{path} line {line}", not_utf8(error), data)
        return
    yield Document(name, "", text)


def read_json_lines(path: Path, name: str, fields: Fields, bad: Refusals) -> Iterator[Document]:
    """Yield a document per line that is not blank; its id is ``name:line`` unless a field says."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                document = document_of(record, fields, f"{name}:{number}")
            except (ValueError, RecursionError) as error:
                bad.add(f"{path} line {number}", cause_of(error), line)
                continue
            yield document


def cause_of(error: BaseException) -> str:
    """Return one clause that says why a record cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, json.JSONDecodeError):
        return f"it is no valid JSON ({error.msg} at column {error.colno})"
    if isinstance(error, RecursionError):
        return "its JSON is nested too deeply"
    return str(error)


def not_utf8(error: UnicodeDecodeError) -> str:
    """Return the clause for bytes that are not UTF-8."""
    return f"it is not UTF-8 (byte 0x{error.object[error.start]:02x})"
