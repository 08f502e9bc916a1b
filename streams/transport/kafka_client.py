"""The plain broker client on Apache Kafka."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition, errors
from kafka.admin import OffsetSpec
from kafka.structs import OffsetAndMetadata

from streams.errors import BrokerError
from streams.transport.client import StoredRecord, TopicSpec
from streams.transport.kafka_connection import (
    BOOTSTRAP_MILLISECONDS,
    FRAME_BYTES,
    REQUEST_MILLISECONDS,
    RETRY_SECONDS,
    addresses,
    expect_broker,
    hurried,
    patiently,
    plain_errors,
    quiet,
)
from streams.transport.kafka_sender import KafkaSender

FETCH_BYTES = 2 * 2**20
POLL_MILLISECONDS = 500
SILENCE_SECONDS = 30.0
REPLICAS = 3
ROLL_MILLISECONDS = 60_000
ROLL_BYTES = 16 * 2**20

NO_ERROR = 0
UNKNOWN_TOPIC = 3
TOPIC_EXISTS = 36

T = TypeVar("T")


class KafkaClient:
    """Implements ``Client`` for the brokers at ``host:port[,host:port]``."""

    def __init__(self, bootstrap: str) -> None:
        """Connect; raises BrokerError within about ten seconds if nobody answers."""
        quiet()
        self._bootstrap = bootstrap
        expect_broker(bootstrap)
        with plain_errors(bootstrap, "be reached"):
            self._admin = KafkaAdminClient(
                bootstrap_servers=addresses(bootstrap),
                bootstrap_timeout_ms=BOOTSTRAP_MILLISECONDS,
                request_timeout_ms=REQUEST_MILLISECONDS,
                reconnect_backoff_max_ms=1_000,
                receive_message_max_bytes=FRAME_BYTES,
            )

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
        return self._offsets(topic, OffsetSpec.EARLIEST)

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return the offset that the next record will get, per partition."""
        return self._offsets(topic, OffsetSpec.LATEST)

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredRecord]:
        """Yield records from ``start`` (or the first kept) up to ``stop``, by default the end
        as it was when the call began; never waits for more."""
        ends = self.ends(topic)
        if partition not in ends:
            raise BrokerError(f"topic {topic!r} has {len(ends)} partitions and no {partition}")
        end = ends[partition] if stop is None else min(stop, ends[partition])
        first = max(start, self.starts(topic)[partition])
        return self._records(TopicPartition(topic, partition), first, end)

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Return the committed offsets of a consumer group, for partitions that have one."""
        found = self._ask("read offsets", lambda: self._admin.list_group_offsets({group: None}))
        return {
            place.partition: commit.offset
            for place, commit in found.get(group, {}).items()
            if place.topic == topic and commit.offset >= 0
        }

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

    def sender(self, max_in_flight_bytes: int = 16 * 2**20) -> KafkaSender:
        """Return a sender."""
        return KafkaSender(self._bootstrap, max_in_flight_bytes)

    def close(self) -> None:
        """Let go of connections."""
        self._admin.close()

    def _ask(self, action: str, call: Callable[[], T]) -> T:
        with plain_errors(self._bootstrap, action):
            return patiently(call)

    def _brokers(self) -> int:
        found = self._ask("describe itself", self._admin.describe_cluster)
        return len(found["brokers"])

    def _offsets(self, topic: str, which: OffsetSpec) -> Mapping[int, int]:
        partitions = self.topics().get(topic)
        if partitions is None:
            raise BrokerError(f"Kafka at {self._bootstrap} has no topic {topic!r}")
        wanted = {TopicPartition(topic, partition): which for partition in range(partitions)}
        found = self._ask(
            f"read the offsets of {topic!r}", lambda: self._admin.list_partition_offsets(wanted)
        )
        return {place.partition: int(found[place].offset) for place in wanted}

    def _records(self, place: TopicPartition, first: int, end: int) -> Iterator[StoredRecord]:
        if first >= end:
            return
        with (
            plain_errors(self._bootstrap, f"read {place.topic}/{place.partition}"),
            closing(_consumer(self._bootstrap)) as consumer,
        ):
            consumer.assign([place])
            consumer.seek(place, first)
            for record in _until(consumer, place, end):
                yield _stored(record)


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
            why = answer.get("error_message") or errors.for_code(code).__name__
            raise BrokerError(f"Kafka at {bootstrap} cannot {action} {answer['name']!r}: {why}")


def _consumer(bootstrap: str) -> Any:
    made = KafkaConsumer(
        bootstrap_servers=addresses(bootstrap),
        bootstrap_timeout_ms=BOOTSTRAP_MILLISECONDS,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        # A record larger than these is still returned, alone.
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        receive_message_max_bytes=FRAME_BYTES,
        allow_auto_create_topics=False,
        # Also how long an empty poll sleeps, which every short read has to wait for.
        retry_backoff_ms=20,
        reconnect_backoff_max_ms=1_000,
        metrics_enabled=False,
    )
    hurried(made._cluster)
    return made


def _until(consumer: Any, place: TopicPartition, end: int) -> Iterator[Any]:
    """Yield records below ``end``. The position tells when it is reached, because the last
    offsets may have been compacted away."""
    heard = time.monotonic()
    while consumer.position(place) < end:
        before = consumer.position(place)
        for record in consumer.poll(timeout_ms=POLL_MILLISECONDS).get(place, ()):
            if record.offset >= end:
                return
            yield record
        if consumer.position(place) != before:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_SECONDS:
            raise errors.KafkaTimeoutError(f"nothing came for {SILENCE_SECONDS:.0f} s at {before}")


def _stored(record: Any) -> StoredRecord:
    return StoredRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, bytes(value or b"")) for name, value in record.headers),
    )
