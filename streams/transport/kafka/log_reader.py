"""Reading the logs of Apache Kafka: their bounds, and their records between two offsets."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors

from streams.transport.client import StoredRecord
from streams.transport.kafka.connection import (
    BOOTSTRAP_MILLISECONDS,
    FRAME_BYTES,
    REQUEST_MILLISECONDS,
    addresses,
    hurried,
)
from streams.transport.kafka.connection_pool import ConnectionPool
from streams.transport.security import OPEN, Security

# A reader has several times as many in memory, and a worker may have several readers.
FETCH_BYTES = 256 * 2**10
POLL_MILLISECONDS = 500
SILENCE_SECONDS = 30.0
# A broker answers the requests of a connection in turn, so whoever gets a kept one waits as long
# behind the fetch ahead of its last reader. Nobody here waits for records that do not exist.
FETCH_WAIT_MILLISECONDS = 10


class KafkaReader:
    """Reads through connections that are kept, since opening one takes ten times a short read.

    Raises KafkaError of kafka-python.
    """

    def __init__(self, bootstrap: str, security: Security = OPEN) -> None:
        self._pool: ConnectionPool[Any] = ConnectionPool(
            lambda: _consumer(bootstrap, security), lambda one: one.close()
        )

    def starts(self, topic: str, partitions: int) -> Mapping[int, int]:
        """Return the first offset still kept, per partition of a topic that exists."""
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        with self._pool.lent() as consumer:
            return {place.partition: at for place, at in _starts(consumer, places).items()}

    def ends(self, topic: str, partitions: int) -> Mapping[int, int]:
        """Return the offset that the next record will get, per partition of a topic that exists."""
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        with self._pool.lent() as consumer:
            return {place.partition: at for place, at in _ends(consumer, places).items()}

    def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """Return the first offset still kept of a partition that exists, and the one at its end."""
        with self._pool.lent() as consumer:
            end = _ends(consumer, [place])[place]
            return _starts(consumer, [place])[place], end

    def records(self, place: TopicPartition, first: int, end: int) -> Iterator[StoredRecord]:
        """Yield the records from ``first`` up to ``end``, which both lie in the log."""
        with self._pool.lent() as consumer:
            # Drop what was fetched ahead for an earlier reader.
            consumer.poll(timeout_ms=0)
            consumer.assign([place])
            consumer.seek(place, first)
            try:
                for record in _until(consumer, place, end):
                    yield _stored(record)
            finally:
                consumer.unsubscribe()

    def forget(self) -> None:
        """Use no connection again that knows the topics as they were."""
        self._pool.clear()

    def close(self) -> None:
        """Let go of connections."""
        self._pool.close()


def _consumer(bootstrap: str, security: Security) -> Any:
    made = KafkaConsumer(
        bootstrap_servers=addresses(bootstrap),
        bootstrap_timeout_ms=BOOTSTRAP_MILLISECONDS,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        # A record larger than these is still returned, alone.
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MILLISECONDS,
        receive_message_max_bytes=FRAME_BYTES,
        allow_auto_create_topics=False,
        # Also how long an empty poll sleeps, which every short read has to wait for.
        retry_backoff_ms=20,
        reconnect_backoff_max_ms=1_000,
        metrics_enabled=False,
        **security.client_options(),
    )
    hurried(made._cluster)
    return made


def _starts(consumer: Any, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    return _offsets(consumer.beginning_offsets, places)


def _ends(consumer: Any, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    return _offsets(consumer.end_offsets, places)


def _offsets(
    ask: Callable[..., Mapping[TopicPartition, int]], places: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    try:
        found = ask(places, timeout_ms=REQUEST_MILLISECONDS)
        return {place: int(found[place]) for place in places}
    except KeyError as error:
        # The library leaves out what it does not know, and then misses it: somebody has made the
        # topic anew. This error has the caller ask again, through another connection.
        raise errors.UnknownTopicOrPartitionError(str(error)) from error


def _until(
    consumer: Any, place: TopicPartition, end: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Any]:
    """Yield records below ``end``. The position tells when it is reached, because the last
    offsets may have been compacted away.

    A broker may be as slow as it likes; KafkaTimeoutError once nothing came for a while.
    """
    heard = clock()
    while consumer.position(place) < end:
        before = consumer.position(place)
        for record in consumer.poll(timeout_ms=POLL_MILLISECONDS).get(place, ()):
            if record.offset >= end:
                return
            yield record
        if consumer.position(place) != before:
            heard = clock()
        elif clock() - heard > SILENCE_SECONDS:
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
