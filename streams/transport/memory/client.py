"""The plain client of the embedded broker."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from streams.errors import BrokerError
from streams.transport.client import Headers, StoredRecord, TopicSpec
from streams.transport.memory.broker import MemoryBroker, broker

_PAGE = 1000


class MemorySender:
    """A sender whose futures are done when it returns them."""

    def __init__(self, target: MemoryBroker) -> None:
        self._broker = target
        self._failed: Exception | None = None

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> "Future[int]":
        """Store a record and return a future of its offset; nothing is stored after a failure."""
        future: Future[int] = Future()
        if self._failed is None:
            try:
                future.set_result(self._broker.append(topic, partition, key, value, headers))
                return future
            except BrokerError as error:
                self._failed = error
        future.set_exception(self._failed)
        return future

    def flush(self) -> None:
        """Raise BrokerError if any send failed."""
        if self._failed is not None:
            raise BrokerError(str(self._failed)) from self._failed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.flush()


class MemoryClient:
    """A ``Client`` of the embedded broker ``memory://name``."""

    def __init__(self, name: str) -> None:
        self._broker = broker(name)

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that do not exist; raise if one exists with other partitions."""
        for spec in specs:
            self._broker.create_topic(spec)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete the topics that exist."""
        for name in names:
            self._broker.delete_topic(name)

    def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of every topic."""
        return self._broker.topics()

    def starts(self, topic: str) -> Mapping[int, int]:
        """Return the first offset still kept, per partition."""
        return {p: self._broker.start_offset(topic, p) for p in self._partitions(topic)}

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the offset that the next record will get, per partition."""
        return {p: self._broker.end_offset(topic, p) for p in self._partitions(topic)}

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredRecord]:
        """Yield records from ``start`` (or the first kept) up to ``stop``."""
        if stop is None:
            stop = self._broker.end_offset(topic, partition)
        return self._pages(topic, partition, start, stop)

    def _pages(self, topic: str, partition: int, start: int, stop: int) -> Iterator[StoredRecord]:
        while start < stop:
            page = self._broker.fetch(topic, partition, start, _PAGE)
            if not page:
                return
            for record in page:
                if record.offset >= stop:
                    return
                yield record
            start = page[-1].offset + 1

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Return the committed offsets of a group, for partitions that have one."""
        return self._broker.committed(group, topic)

    def members(self, group: str) -> int:
        """Return how many consumers a group has now."""
        return self._broker.members(group)

    def rewind(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set committed offsets of a group without members."""
        with self._broker.lock:
            if self._broker.group(group).members:
                raise BrokerError(f"group {group} still has members: stop its workers first")
            self._broker.commit(group, offsets)

    def delete_group(self, group: str) -> None:
        """Forget a consumer group; unknown ones are ignored."""
        self._broker.delete_group(group)

    def session_bounds(self) -> tuple[float, float]:
        """Return the shortest and the longest session that groups may have: any will do."""
        return 0.0, math.inf

    def sender(self, max_in_flight_bytes: int = 16 * 2**20) -> MemorySender:
        """Return a sender; nothing is ever in flight here."""
        return MemorySender(self._broker)

    def close(self) -> None:
        """Nothing to let go of."""

    def _partitions(self, topic: str) -> range:
        partitions = self._broker.topics().get(topic)
        if partitions is None:
            raise BrokerError(f"there is no topic {topic}")
        return range(partitions)
