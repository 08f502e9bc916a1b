"""A plain broker client: topics, records and offsets, without groups or agents.

The embedded broker and Kafka each implement ``Client``; ``connect`` (connect.py) chooses one.
Everything that is not a Faust agent goes through it: producers, the oracle, snapshot readers,
``runs`` and ``corpora``.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as we create it. ``compacted`` keeps the last record of each key, else everything."""

    name: str
    partitions: int
    compacted: bool = False
    max_record_bytes: int = 32 * 2**20


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it lies in a log. ``timestamp`` is in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Sender(Protocol):
    """Sends records, in order per partition, idempotently; in-flight bytes are bounded."""

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> "Future[int]":
        """Return a future of the record's offset. Blocks while too many bytes are in flight."""

    def flush(self) -> None:
        """Wait until all is confirmed; raise BrokerError if any send failed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Client(Protocol):
    """What a broker offers outside agents. Every method raises BrokerError if it cannot."""

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that do not exist; raise if one exists with other partitions."""

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete the topics that exist."""

    def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of every topic."""

    def starts(self, topic: str) -> Mapping[int, int]:
        """Return the first offset still kept, per partition."""

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the offset that the next record will get, per partition."""

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredRecord]:
        """Yield records from ``start`` (or the first kept) up to ``stop``, by default the end
        as it was when the call began; never waits for more."""

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Return the committed offsets of a consumer group, for partitions that have one."""

    def members(self, group: str) -> int | None:
        """Return how many consumers a group has now, None where the broker cannot say."""

    def rewind(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set committed offsets of a group without members."""

    def delete_group(self, group: str) -> None:
        """Forget a consumer group; unknown ones are ignored."""

    def session_bounds(self) -> tuple[float, float]:
        """Return the shortest and the longest session that groups may have, in seconds.

        Where a broker does not say, those are Kafka's defaults.
        """

    def sender(self, max_in_flight_bytes: int = 16 * 2**20) -> Sender:
        """Return a sender."""

    def close(self) -> None:
        """Let go of connections."""
