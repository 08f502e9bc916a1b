"""Opening a file: unpacked by what its first bytes say, whatever its suffix says."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import zstandard

from streams.errors import CorpusError

STDIN = "-"
HEAD = 2**16
MOST_IN_MEMORY = 2**28
# A frame makes up to 32,768 bytes of one: of this much, 64 MiB.
_PACKED = 2**11
BROKEN_FILE = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lzma")
# The first bytes of each kind of compression.
_MAGIC: tuple[tuple[bytes, Callable[[io.BufferedReader], object]], ...] = (
    (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
    (b"\x5d\0\0", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", lambda raw: _Zstandard(raw)),
)
_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive"}


@dataclass(frozen=True, slots=True)
class Location:
    """A file that can be opened: on disk, in an object store, or standard input.

    address: as it is shown in errors. name: of its documents. open: returns its bytes as stored.
    path: where it is, if it is on disk.
    """

    address: str
    name: str
    open: Callable[[], BinaryIO]
    path: Path | None = None

    @property
    def suffix(self) -> str:
        """The suffix that says what is in it, behind one of compression; in lower case."""
        path = PurePosixPath(self.name.lower())
        return path.with_suffix("").suffix if path.suffix in COMPRESSED else path.suffix


class Opened:
    """A file that is being read.

    stream: its bytes, unpacked. head: the first of them, 64 KiB at most. path: where they lie as
    they are, on disk and not packed; None elsewhere.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self.address = location.address
        self.name = location.name
        self.suffix = location.suffix
        self._raw = location.open()
        self.stream = self._raw
        self.packed = False
        try:
            self._unpack()
        except BaseException:
            self.close()
            raise

    def _unpack(self) -> None:
        stream = _peekable(self._raw)
        start = stream.peek(8)[:8]
        for magic, kind in _ARCHIVES.items():
            if start.startswith(magic):
                raise OSError(f"it is {kind}: unpack it")
        for magic, unpacked in _MAGIC:
            if start.startswith(magic):
                self.packed = True
                stream = io.BufferedReader(cast(io.RawIOBase, unpacked(stream)), HEAD)
                break
        self.stream = stream
        self.head = stream.peek(HEAD)[:HEAD]
        self.path = None if self.packed else self._location.path

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, but not standard input."""
        if self._raw is not getattr(sys.stdin, "buffer", None):
            self._raw.close()

    def in_memory(self) -> bytes:
        """Return all bytes, unpacked; raise OSError if they are more than memory is there for."""
        data = self.stream.read(MOST_IN_MEMORY + 1)
        if len(data) > MOST_IN_MEMORY:
            raise OSError(
                f"more than {MOST_IN_MEMORY:,} bytes of it would have to be in memory: unpack it "
                "to a file and name that"
            )
        return data

    def seekable(self) -> BinaryIO:
        """Return the bytes as a file that can be read anywhere; what is packed goes to memory."""
        if self.packed or not self._raw.seekable():
            return io.BytesIO(self.in_memory())
        self._raw.seek(0)
        return self._raw


def standard_input() -> BinaryIO:
    """Return standard input as bytes; raise CorpusError if there is none."""
    if sys.stdin is None or sys.stdin.closed:
        raise CorpusError("there is no standard input: it is closed; pipe text in or name files")
    return sys.stdin.buffer


def reason(error: BaseException) -> str:
    """Return why a file cannot be opened or read to its end, as one clause."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be read ({text})"


def _peekable(raw: BinaryIO) -> io.BufferedReader:
    if isinstance(raw, io.BufferedReader):
        return raw
    return io.BufferedReader(cast(io.RawIOBase, raw), HEAD)


class _Zstandard(io.RawIOBase):
    """Zstandard frames, one after the other as parallel packers write them, unpacked."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; raise EOFError where a frame is cut short."""
        while not self._ready:
            if self._frame.eof:
                unused = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._begun = bool(unused)
                self._ready = memoryview(self._frame.decompress(unused) if unused else b"")
                continue
            data = self._raw.read(_PACKED)
            if not data:
                if self._begun:
                    raise EOFError("its last frame is cut short")
                return 0
            self._begun = True
            self._ready = memoryview(self._frame.decompress(data))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
