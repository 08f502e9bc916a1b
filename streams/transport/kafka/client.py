"""The plain broker client on Apache Kafka."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from kafka import KafkaAdminClient, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

from streams.errors import AccessError, BrokerError
from streams.transport.client import StoredRecord, TopicSpec
from streams.transport.kafka.connection import (
    BOOTSTRAP_MILLISECONDS,
    FRAME_BYTES,
    REQUEST_MILLISECONDS,
    RETRY_SECONDS,
    addresses,
    expect_broker,
    patiently,
    plain_errors,
    quiet,
)
from streams.transport.kafka.log_reader import KafkaReader
from streams.transport.kafka.sender import KafkaSender, producer_pool
from streams.transport.missing_right import missing_right
from streams.transport.security import OPEN, Security

REPLICAS = 3
ROLL_MILLISECONDS = 60_000
ROLL_BYTES = 16 * 2**20

LEAST_SESSION_MILLISECONDS, MOST_SESSION_MILLISECONDS = 6_000, 1_800_000

NO_ERROR = 0
UNKNOWN_TOPIC = 3
TOPIC_EXISTS = 36

T = TypeVar("T")


class KafkaClient:
    """Implements ``Client`` for the brokers at ``host:port[,host:port]``."""

    def __init__(self, bootstrap: str, security: Security = OPEN) -> None:
        """Connect; raises BrokerError within about ten seconds if nobody answers or lets us in."""
        quiet()
        self._bootstrap = bootstrap
        self._security = security
        expect_broker(bootstrap, security)
        with plain_errors(bootstrap, "be reached", security):
            self._admin = KafkaAdminClient(
                bootstrap_servers=addresses(bootstrap),
                bootstrap_timeout_ms=BOOTSTRAP_MILLISECONDS,
                request_timeout_ms=REQUEST_MILLISECONDS,
                reconnect_backoff_max_ms=1_000,
                receive_message_max_bytes=FRAME_BYTES,
                **security.client_options(),
            )
        self._reader = KafkaReader(bootstrap, security)
        self._producers = producer_pool(bootstrap, security)

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that do not exist; raise if one exists with other partitions."""
        missing = _missing(specs, self.topics())
        if not missing:
            return
        replicas = min(REPLICAS, self._brokers())
        wanted = {spec.name: _description(spec, replicas) for spec in missing}
        answer = self._ask(
            "create topics", lambda: self._admin.create_topics(wanted, raise_errors=False)
        )
        _refuse(self._bootstrap, "create topic", answer["topics"], (TOPIC_EXISTS,))
        self._ask("show new topics", lambda: self._admin.wait_for_topics(list(wanted)))
        # Someone else may have created one of them meanwhile, with other partitions.
        _missing(missing, self.topics())

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete the topics that exist."""
        found = [name for name in names if name in self.topics()]
        if not found:
            return
        answer = self._ask(
            "delete topics", lambda: self._admin.delete_topics(found, raise_errors=False)
        )
        _refuse(self._bootstrap, "delete topic", answer["topics"], (UNKNOWN_TOPIC,))
        self._reader.forget()
        self._producers.clear()
        deadline = time.monotonic() + RETRY_SECONDS
        while set(found) & set(self.topics()):
            if time.monotonic() > deadline:
                raise BrokerError(f"Kafka at {self._bootstrap} still shows deleted topics {found}")
            time.sleep(0.1)

    def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of every topic but Kafka's own."""
        found = self._ask("list topics", self._admin.describe_topics)
        return {
            topic["name"]: len(topic["partitions"])
            for topic in found
            if topic["error_code"] == NO_ERROR and not topic["is_internal"]
        }

    def starts(self, topic: str) -> Mapping[int, int]:
        """Return the first offset still kept, per partition."""
        return self._bounds(topic, self._reader.starts)

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the offset that the next record will get, per partition."""
        return self._bounds(topic, self._reader.ends)

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredRecord]:
        """Yield records from ``start`` (or the first kept) up to ``stop``, by default the end
        as it was when the call began; never waits for more."""
        partitions = self._partitions(topic)
        if not 0 <= partition < partitions:
            raise BrokerError(f"topic {topic!r} has {partitions} partitions and no {partition}")
        place = TopicPartition(topic, partition)
        kept, end = self._ask(
            f"read the offsets of {topic}/{partition}", lambda: self._reader.bounds(place)
        )
        return self._records(place, max(start, kept), end if stop is None else min(stop, end))

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Return the committed offsets of a consumer group, for partitions that have one."""
        found = self._ask("read offsets", lambda: self._admin.list_group_offsets({group: None}))
        return {
            place.partition: commit.offset
            for place, commit in found.get(group, {}).items()
            if place.topic == topic and commit.offset >= 0
        }

    def members(self, group: str) -> int | None:
        """Return how many consumers a group has now, None where the broker cannot say."""
        found = self._ask("describe a group", lambda: self._admin.describe_groups([group]))
        said = found.get(group, {})
        if said.get("error") and errors.GroupIdNotFoundError.__name__ not in said["error"]:
            return None  # such as a coordinator that is just loading
        return len(said.get("members", ()))

    def rewind(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set committed offsets of a group without members."""
        wanted = {
            TopicPartition(*place): OffsetAndMetadata(offset, "", -1)
            for place, offset in offsets.items()
        }

        def alter() -> None:
            for place, error in self._admin.alter_group_offsets(group, wanted).items():
                if error.errno != NO_ERROR:
                    raise error(f"{place.topic}/{place.partition}; are its workers stopped?")

        self._ask(f"set the offsets of group {group!r}", alter)

    def delete_group(self, group: str) -> None:
        """Forget a consumer group; unknown ones are ignored."""

        def delete() -> None:
            outcome = self._admin.delete_groups([group]).get(group, "OK")
            if outcome not in ("OK", errors.GroupIdNotFoundError.__name__):
                raise getattr(errors, outcome, errors.KafkaError)("are its workers stopped?")

        self._ask(f"delete group {group!r}", delete)

    def session_bounds(self) -> tuple[float, float]:
        """Return the shortest and the longest session that groups may have, in seconds.

        Kafka's defaults where the broker does not let us read its settings.
        """
        least, most = (f"group.{one}.session.timeout.ms" for one in ("min", "max"))
        default = {least: LEAST_SESSION_MILLISECONDS, most: MOST_SESSION_MILLISECONDS}

        def describe() -> Mapping[str, Any]:
            node = str(self._admin.describe_cluster()["brokers"][0]["broker_id"])
            wanted = ConfigResource(ConfigResourceType.BROKER, node, dict.fromkeys(default))
            try:
                answer = self._admin.describe_configs([wanted], config_filter="all")
            except errors.ClusterAuthorizationFailedError:
                return {}
            return {k: v for found in answer.values() for k, v in found.get(node, {}).items()}

        found = self._ask("read the settings of the broker", describe)
        known = {name: int(found.get(name, {}).get("value", ms)) for name, ms in default.items()}
        return known[least] / 1000, known[most] / 1000

    def sender(self, max_in_flight_bytes: int = 16 * 2**20) -> KafkaSender:
        """Return a sender."""
        return KafkaSender(
            self._bootstrap, max_in_flight_bytes, pool=self._producers, security=self._security
        )

    def close(self) -> None:
        """Let go of connections."""
        self._producers.close()
        self._reader.close()
        self._admin.close()

    def _ask(self, action: str, call: Callable[[], T]) -> T:
        with plain_errors(self._bootstrap, action, self._security):
            return patiently(call)

    def _brokers(self) -> int:
        found = self._ask("describe itself", self._admin.describe_cluster)
        return len(found["brokers"])

    def _partitions(self, topic: str) -> int:
        found = self.topics().get(topic)
        if found is None:
            raise BrokerError(f"Kafka at {self._bootstrap} has no topic {topic!r}")
        return found

    def _bounds(
        self, topic: str, ask: Callable[[str, int], Mapping[int, int]]
    ) -> Mapping[int, int]:
        partitions = self._partitions(topic)
        return self._ask(f"read the offsets of {topic!r}", lambda: ask(topic, partitions))

    def _records(self, place: TopicPartition, first: int, end: int) -> Iterator[StoredRecord]:
        if first >= end:
            return
        action = f"read {place.topic}/{place.partition}"
        with plain_errors(self._bootstrap, action, self._security):
            yield from self._reader.records(place, first, end)


def _missing(specs: Sequence[TopicSpec], existing: Mapping[str, int]) -> list[TopicSpec]:
    """Return the topics to create; raise if one exists with other partitions."""
    for spec in specs:
        found = existing.get(spec.name, spec.partitions)
        if found != spec.partitions:
            raise BrokerError(
                f"topic {spec.name!r} exists with {found} partitions, {spec.partitions} are wanted"
            )
    return [spec for spec in specs if spec.name not in existing]


def _description(spec: TopicSpec, replicas: int) -> dict[str, Any]:
    configs = {
        "max.message.bytes": str(spec.max_record_bytes),
        "min.insync.replicas": str(max(1, replicas - 1)),
        # A segment must hold the largest record.
        "segment.bytes": str(max(ROLL_BYTES if spec.compacted else 2**30, spec.max_record_bytes)),
    }
    if spec.compacted:
        configs["cleanup.policy"] = "compact"
        configs["segment.ms"] = str(ROLL_MILLISECONDS)
        configs["min.cleanable.dirty.ratio"] = "0.1"
    else:
        configs["retention.ms"] = "-1"
        configs["retention.bytes"] = "-1"
    return {
        "num_partitions": spec.partitions,
        "replication_factor": replicas,
        "configs": configs,
    }


def _refuse(
    bootstrap: str, action: str, answers: Sequence[Mapping[str, Any]], fine: tuple[int, ...]
) -> None:
    """Raise the first refusal among the answers about single topics."""
    for answer in answers:
        code = answer["error_code"]
        if code not in (NO_ERROR, *fine):
            kind = errors.for_code(code)
            if missing := missing_right(kind):
                raise AccessError(
                    f"Kafka at {bootstrap} does not let us {action} {answer['name']!r}: {missing}"
                )
            why = answer.get("error_message") or kind.__name__
            raise BrokerError(f"Kafka at {bootstrap} cannot {action} {answer['name']!r}: {why}")
