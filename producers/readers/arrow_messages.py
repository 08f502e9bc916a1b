"""Messages of an Arrow stream: what one will take unpacked is added up before Arrow makes room.

A compressed buffer begins with the size that it claims to have unpacked, and Arrow makes room for
that. So each message's list of buffers is read here, in its flatbuffer, and a message that claims
more than ``unpacked_limit`` of the bytes it has ends the file.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from producers.readers.opening import MOST_IN_MEMORY

_DICTIONARY, _RECORDS = 2, 3  # kinds of messages that hold buffers
_NOT_PACKED = -1


MOST_PER_BYTE = 16


def unpacked_limit(size: int) -> int:
    """Return the bytes that ``size`` packed ones may become: text shrinks to a third or so."""
    return max(MOST_IN_MEMORY, MOST_PER_BYTE * size)


class CheckedStream(io.RawIOBase):
    """The messages of a stream as its bytes, each checked before it is handed on.

    Raises OSError at a message that would take too much unpacked, and what Arrow raises for one
    that is broken.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._parts = _checked(stream)
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next, 0 at the end."""
        while not self._ready:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._ready = memoryview(part).cast("B")
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _checked(stream: BinaryIO) -> Iterator[Any]:
    import pyarrow as pa

    messages = pa.ipc.MessageReader.open_stream(stream)
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            return
        except MemoryError:
            raise OSError("a message of it claims more than there is memory for") from None
        packed = 0 if message.body is None else len(message.body)
        try:
            size = unpacked_size(message.metadata.to_pybytes(), message.body)
        except (struct.error, ValueError):
            raise OSError("a message's list of buffers is broken") from None
        if size > unpacked_limit(packed):
            raise OSError(
                f"a message of {packed:,} bytes would take {size:,}, more than "
                f"{unpacked_limit(packed):,}"
            )
        yield message.serialize()


def unpacked_size(metadata: bytes, body: Any) -> int:
    """Return the bytes that the buffers of a message claim to be once unpacked.

    metadata: the message's flatbuffer. body: its buffers, None without. Raises struct.error or
    ValueError if they are broken.
    """
    flat = _Flatbuffer(metadata)
    message = flat.follow(0)
    kind = flat.byte(message, 1)
    if body is None or kind not in (_DICTIONARY, _RECORDS):
        return 0
    records = flat.table(message, 2)
    if kind == _DICTIONARY:
        records = flat.table(records, 1)
    if not flat.place(records, 3):
        return len(body)
    data = memoryview(body)
    return sum(_unpacked(data, at, size) for at, size in flat.buffers(records, 2))


def _unpacked(body: memoryview, at: int, size: int) -> int:
    """Return what a compressed buffer at an offset of a body claims."""
    if size == 0:
        return 0
    if at < 0 or size < 8 or at + size > len(body):
        raise ValueError("a buffer lies outside its message")
    (claimed,) = struct.unpack_from("<q", body, at)
    if claimed < _NOT_PACKED:
        raise ValueError("a buffer claims a negative size")
    return size if claimed == _NOT_PACKED else int(claimed)


class _Flatbuffer:
    """Reads tables of a flatbuffer: as much as the messages of Arrow need."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def _number(self, form: str, at: int) -> int:
        if at < 0:
            raise ValueError("a place before the beginning")
        return int(struct.unpack_from(form, self._data, at)[0])

    def follow(self, at: int) -> int:
        """Return the place that an offset stored at ``at`` leads to."""
        return at + self._number("<I", at)

    def place(self, table: int, field: int) -> int:
        """Return where a field of a table is, 0 if it is not there."""
        fields = table - self._number("<i", table)
        entry = 4 + 2 * field
        if entry >= self._number("<H", fields):
            return 0
        offset = self._number("<H", fields + entry)
        return table + offset if offset else 0

    def byte(self, table: int, field: int) -> int:
        """Return a field of one byte, 0 if it is not there."""
        at = self.place(table, field)
        return self._number("<B", at) if at else 0

    def table(self, table: int, field: int) -> int:
        """Return where the table is that a field holds; raise ValueError if it is not there."""
        at = self.place(table, field)
        if not at:
            raise ValueError("a message without its header")
        return self.follow(at)

    def buffers(self, table: int, field: int) -> Iterator[tuple[int, int]]:
        """Yield offset and size of the buffers that a field lists."""
        at = self.place(table, field)
        if not at:
            return
        start = self.follow(at)
        for number in range(self._number("<I", start)):
            entry = start + 4 + 16 * number
            yield self._number("<q", entry), self._number("<q", entry + 8)
