"""The embedded broker: topics, logs and groups in this process's memory."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from streams.errors import BrokerError
from streams.transport.client import Headers, StoredRecord, TopicSpec
from streams.transport.memory.group import MemoryGroup
from streams.transport.memory.partition_log import MemoryLog

_FAR = 2**62


class Faults:
    """Where tests make a broker fail; this one never does. Subclass it and override."""

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Raise BrokerError for a send that fails; nothing is stored then."""

    def confirm(self, record: StoredRecord) -> float:
        """Return for how many seconds an agent's confirmation is held back; infinity: for ever.

        Raise BrokerError for a send that is reported as failed although it is stored.
        """
        return 0.0

    def fetch(self, records: list[StoredRecord]) -> list[StoredRecord]:
        """Return what an agent's consumer gets: less (the rest comes later) or some twice."""
        return records

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> bool:
        """Return False for a commit that is lost although its sender believes in it."""
        return True

    def heartbeat(self, group: str, member: str) -> bool:
        """Return False for a heartbeat that is lost: its sender becomes a zombie."""
        return True


class MemoryBroker:
    """Topics and groups behind one lock; every method may be called from any thread."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, faults: Faults | None = None
    ) -> None:
        self.clock = clock
        self.faults = faults or Faults()
        self.lock = threading.RLock()
        self._specs: dict[str, TopicSpec] = {}
        self._logs: dict[str, list[MemoryLog]] = {}
        self._groups: dict[str, MemoryGroup] = {}
        self._waiting: dict[tuple[str, int], list[Callable[[], None]]] = {}

    def create_topic(self, spec: TopicSpec) -> None:
        """Create a topic unless it is there; raise BrokerError if it has other partitions."""
        with self.lock:
            found = self._specs.setdefault(spec.name, spec)
            if found.partitions != spec.partitions:
                raise BrokerError(
                    f"topic {spec.name} has {found.partitions} partitions, not {spec.partitions}"
                )
            if spec.name not in self._logs:
                self._logs[spec.name] = [MemoryLog(spec.compacted) for _ in range(spec.partitions)]

    def delete_topic(self, name: str) -> None:
        """Delete a topic and what groups committed on it; an unknown one is ignored."""
        with self.lock:
            self._specs.pop(name, None)
            self._logs.pop(name, None)
            for group in self._groups.values():
                group.offsets = {at: n for at, n in group.offsets.items() if at[0] != name}

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of every topic."""
        with self.lock:
            return {name: spec.partitions for name, spec in self._specs.items()}

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        timestamp: int | None = None,
    ) -> int:
        """Store a record and return its offset. ``timestamp``: milliseconds, by default now."""
        self.faults.append(topic, partition, key, value)
        if timestamp is None:
            timestamp = int(time.time() * 1000)
        with self.lock:
            log = self._log(topic, partition)
            size = len(key or b"") + len(value or b"")
            largest = self._specs[topic].max_record_bytes
            if size > largest:
                raise BrokerError(
                    f"a record of {size} bytes is over the limit of topic {topic}, {largest} bytes"
                )
            offset = log.end
            log.append(StoredRecord(topic, partition, offset, timestamp, key, value, headers))
            waiting = self._waiting.pop((topic, partition), ())
        for wake in waiting:
            wake()
        return offset

    def fetch(
        self, topic: str, partition: int, offset: int, limit: int = _FAR
    ) -> list[StoredRecord]:
        """Return at most ``limit`` records from ``offset`` on, as many as there are."""
        with self.lock:
            return self._log(topic, partition).fetch(offset, limit)

    def wait(self, partitions: Iterable[tuple[str, int]], wake: Callable[[], None]) -> None:
        """Call ``wake`` once for each of the partitions that gets a record from now on.

        A caller that waits again replaces its earlier wait.
        """
        with self.lock:
            for at in partitions:
                waiting = self._waiting.setdefault(at, [])
                if wake not in waiting:
                    waiting.append(wake)

    def start_offset(self, topic: str, partition: int) -> int:
        """Return the first offset that is still kept."""
        with self.lock:
            return self._log(topic, partition).start

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next record will get."""
        with self.lock:
            return self._log(topic, partition).end

    def compact(self, topic: str) -> None:
        """Compact a compacted topic now."""
        with self.lock:
            for log in self._logs[topic]:
                log.compact()

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop the records below offset ``before``, as retention would."""
        with self.lock:
            self._log(topic, partition).delete_before(before)

    def group(self, name: str) -> MemoryGroup:
        """Return a consumer group, made on first use. Hold ``lock`` while using it."""
        with self.lock:
            if name not in self._groups:
                self._groups[name] = MemoryGroup(self.clock)
            return self._groups[name]

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the offsets at which a group goes on."""
        with self.lock:
            self.group(group).offsets.update(offsets)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offsets of a group, for partitions that have one."""
        with self.lock:
            known = self._groups.get(group)
            offsets = known.offsets.items() if known else ()
            return {partition: n for (name, partition), n in offsets if name == topic}

    def members(self, group: str) -> int:
        """Return how many consumers a group has now."""
        with self.lock:
            known = self._groups.get(group)
            return len(known.members) if known else 0

    def delete_group(self, name: str) -> None:
        """Forget a group; unknown ones are ignored, one with members is refused."""
        with self.lock:
            known = self._groups.get(name)
            if known and known.members:
                raise BrokerError(f"group {name} still has {len(known.members)} members")
            self._groups.pop(name, None)

    def _log(self, topic: str, partition: int) -> MemoryLog:
        logs = self._logs.get(topic)
        if logs is None:
            raise BrokerError(f"there is no topic {topic}")
        if not 0 <= partition < len(logs):
            raise BrokerError(f"topic {topic} has no partition {partition}")
        return logs[partition]


_BROKERS: dict[str, MemoryBroker] = {}
_BROKERS_LOCK = threading.Lock()


def broker(name: str) -> MemoryBroker:
    """Return the broker of this name in this process, made on first use."""
    with _BROKERS_LOCK:
        return _BROKERS.setdefault(name, MemoryBroker())


def forget(name: str) -> None:
    """Let go of the broker of this name and all it holds."""
    with _BROKERS_LOCK:
        _BROKERS.pop(name, None)
