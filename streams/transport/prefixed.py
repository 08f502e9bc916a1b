"""A client that sees a part of a broker: what begins with a prefix, under names without it."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from streams.transport.client import Client, Headers, Sender, StoredRecord, TopicSpec


class PrefixedSender:
    """A ``Sender`` to topics of a prefix."""

    def __init__(self, inner: Sender, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

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
        return self._inner.send(self._prefix + topic, partition, value, key=key, headers=headers)

    def flush(self) -> None:
        """Wait until all is confirmed; raise BrokerError if any send failed."""
        self._inner.flush()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)


class PrefixedClient:
    """A ``Client`` of the topics and groups of a prefix; its callers never see the prefix."""

    def __init__(self, inner: Client, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that do not exist; raise if one exists with other partitions."""
        self._inner.create_topics([replace(s, name=self._prefix + s.name) for s in specs])

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete the topics that exist."""
        self._inner.delete_topics([self._prefix + name for name in names])

    def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of every topic of the prefix."""
        return {
            name.removeprefix(self._prefix): partitions
            for name, partitions in self._inner.topics().items()
            if name.startswith(self._prefix)
        }

    def starts(self, topic: str) -> Mapping[int, int]:
        """Return the first offset still kept, per partition."""
        return self._inner.starts(self._prefix + topic)

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the offset that the next record will get, per partition."""
        return self._inner.ends(self._prefix + topic)

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredRecord]:
        """Yield records from ``start`` up to ``stop``, as ``Client.read`` says."""
        found = self._inner.read(self._prefix + topic, partition, start, stop)
        return (replace(record, topic=topic) for record in found)

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Return the committed offsets of a consumer group, for partitions that have one."""
        return self._inner.committed(self._prefix + group, self._prefix + topic)

    def members(self, group: str) -> int | None:
        """Return how many consumers a group has now, None where the broker cannot say."""
        return self._inner.members(self._prefix + group)

    def rewind(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set committed offsets of a group without members."""
        moved = {(self._prefix + topic, p): at for (topic, p), at in offsets.items()}
        self._inner.rewind(self._prefix + group, moved)

    def delete_group(self, group: str) -> None:
        """Forget a consumer group; unknown ones are ignored."""
        self._inner.delete_group(self._prefix + group)

    def session_bounds(self) -> tuple[float, float]:
        """Return the shortest and the longest session that groups may have, in seconds."""
        return self._inner.session_bounds()

    def sender(self, max_in_flight_bytes: int = 16 * 2**20) -> PrefixedSender:
        """Return a sender."""
        return PrefixedSender(self._inner.sender(max_in_flight_bytes), self._prefix)

    def close(self) -> None:
        """Let go of connections."""
        self._inner.close()
