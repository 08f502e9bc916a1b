"""A corpus in one file: its record, vocabulary, batches and ends, compressed and checked.

The file is 16 bytes of magic (the last one is the format's version) and a Zstandard stream of
frames: kind (1 byte), length and CRC-32 (4 bytes each, little end), then the record as the codec
writes it. The closing frame holds a BLAKE2b digest of all that came before, so a cut is noticed.
"""

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from streams.errors import CorpusError, RecordError
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary
from streams.regular_files import open_regular
from streams.wire import codec

Entry = CorpusRecord | Vocabulary | TokenBatch | PartitionEnd

_MAGIC = b"millrace corpus\x02"
_FRAME = struct.Struct("<BII")
_KINDS: dict[int, type[Entry]] = {1: CorpusRecord, 2: Vocabulary, 3: TokenBatch, 4: PartitionEnd}
_CODES = {kind: code for code, kind in _KINDS.items()}
_CLOSING = 255
_MAX_BODY = 2**26  # twice what a topic takes: no record is longer, whatever a header claims
# Real text shrinks a few times, a small corpus of one token over and over a lot.
_FREE_BYTES, _MOST_PER_BYTE = 2**28, 1024


def write_dump(path: Path, entries: Iterable[Entry]) -> None:
    """Write a dump: CorpusRecord, Vocabulary, then batches and ends, partition by partition.

    The file appears under its name only when it is whole. Raises CorpusError if it cannot be
    written; whatever ``entries`` raises passes through, and no file is left behind either way.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(_MAGIC)
            with pa.CompressedOutputStream(file, "zstd") as packed:
                _write_frames(cast(BinaryIO, packed), entries)
        with draft.open("rb+") as file:  # Arrow has closed the first one
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise CorpusError(f"cannot write the dump {path}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _write_frames(file: BinaryIO, entries: Iterable[Entry]) -> None:
    digest = hashlib.blake2b(digest_size=32)
    for entry in entries:
        frame = _frame(_CODES[type(entry)], codec.encode(entry))
        digest.update(frame)
        file.write(frame)
    file.write(_frame(_CLOSING, digest.digest()))


def _frame(code: int, body: bytes) -> bytes:
    return _FRAME.pack(code, len(body), zlib.crc32(body)) + body


def read_dump(path: Path) -> Iterator[Entry]:
    """Yield everything that a dump holds, in the order in which it was written.

    Raises CorpusError if the file is missing, no dump, of another version, damaged, cut short, or
    unpacks to more than any corpus does;
    damage to a frame shows before that frame is given out, a cut only at the end.
    """
    try:
        with open_regular(path) as file:
            _check_magic(path, file.read(len(_MAGIC)))
            limit = _FREE_BYTES + _MOST_PER_BYTE * os.fstat(file.fileno()).st_size
            yield from _read_frames(path, io.BufferedReader(_unpacked(file), 2**20), limit)
    except (OSError, RecordError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"cannot read the dump {path}: {reason}") from error


def _unpacked(file: BinaryIO) -> io.RawIOBase:
    return cast(io.RawIOBase, pa.CompressedInputStream(file, "zstd"))


def _check_magic(path: Path, magic: bytes) -> None:
    if magic[:-1] != _MAGIC[:-1] or len(magic) != len(_MAGIC):
        raise CorpusError(f"{path} is no dump of a corpus; make one with 'corpora dump'")
    if magic[-1] > _MAGIC[-1]:
        raise CorpusError(f"{path} was dumped by a newer version of this program: update it")
    if magic[-1] < _MAGIC[-1]:
        raise CorpusError(
            f"{path} was written by an earlier form of Millrace (version {magic[-1]}); produce the "
            "corpus and dump it again"
        )


def _read_frames(path: Path, file: io.BufferedReader, limit: int) -> Iterator[Entry]:
    """Yield what the frames hold. limit: of the unpacked bytes of all of them."""
    digest = hashlib.blake2b(digest_size=32)
    while True:
        if limit < 0:
            raise CorpusError(f"the dump {path} unpacks to more than a corpus of its size can be")
        head = file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise CorpusError(f"the dump {path} is cut short: copy or dump it again")
        code, length, checksum = _FRAME.unpack(head)
        body = file.read(min(length, _MAX_BODY))
        limit -= len(head) + len(body)
        if len(body) < length or zlib.crc32(body) != checksum:
            raise CorpusError(f"the dump {path} is damaged: copy or dump it again")
        if code == _CLOSING:
            if body != digest.digest() or file.read(1):
                raise CorpusError(f"the dump {path} is damaged: copy or dump it again")
            return
        digest.update(head + body)
        if code in _KINDS:
            yield codec.decode(_KINDS[code], body)


def read_head(path: Path) -> tuple[CorpusRecord, Vocabulary]:
    """Return the first two entries of a dump; errors as in ``read_dump``."""
    entries = read_dump(path)
    record, vocabulary = next(entries, None), next(entries, None)
    if not isinstance(record, CorpusRecord) or not isinstance(vocabulary, Vocabulary):
        raise CorpusError(f"{path} does not begin with a corpus and its vocabulary: dump it again")
    return record, vocabulary


def iter_batches(path: Path) -> Iterator[TokenBatch]:
    """Yield the token batches of a dump, partition by partition; errors as in ``read_dump``."""
    return (entry for entry in read_dump(path) if isinstance(entry, TokenBatch))
