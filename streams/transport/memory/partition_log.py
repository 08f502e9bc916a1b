"""One partition of the embedded broker: records in offset order, compacted where the topic is."""

from bisect import bisect_left
from operator import attrgetter

from streams.transport.client import StoredRecord

_OFFSET = attrgetter("offset")
_SLACK = 1000


class MemoryLog:
    """The records of one partition. Not thread-safe: the broker locks around every call."""

    def __init__(self, compacted: bool) -> None:
        self.compacted = compacted
        self.start = 0
        self.end = 0
        self._records: list[StoredRecord] = []
        self._latest: dict[bytes | None, int] = {}

    def append(self, record: StoredRecord) -> None:
        """Add a record that carries the offset ``end``; compact a log that has grown too long."""
        self._records.append(record)
        self.end += 1
        if not self.compacted:
            return
        if record.value is None:
            self._latest.pop(record.key, None)
        else:
            self._latest[record.key] = record.offset
        if len(self._records) > 2 * len(self._latest) + _SLACK:
            self.compact()

    def compact(self) -> None:
        """Keep the last record of every key; the offsets of the others become holes.

        Tombstones go at once, so a reader that stands before one may miss a deletion. Nothing of
        ours deletes a key while somebody reads.
        """
        latest = self._latest
        self._records = [r for r in self._records if latest.get(r.key) == r.offset]

    def delete_before(self, offset: int) -> None:
        """Drop the records below ``offset``, as retention would."""
        self.start = max(self.start, min(offset, self.end))
        del self._records[: bisect_left(self._records, self.start, key=_OFFSET)]

    def fetch(self, offset: int, limit: int) -> list[StoredRecord]:
        """Return at most ``limit`` records from ``offset`` on."""
        first = bisect_left(self._records, offset, key=_OFFSET)
        return self._records[first : first + limit]
