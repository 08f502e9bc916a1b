"""Idempotent producer of Kafka records: ordered, bounded in bytes, final in its first failure."""

import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from streams.errors import AccessError, BrokerError
from streams.transport.client import Headers
from streams.transport.kafka.connection import (
    BOOTSTRAP_MILLISECONDS,
    FRAME_BYTES,
    addresses,
    expect_broker,
    hurried,
    plain_errors,
    reason,
)
from streams.transport.kafka.connection_pool import ConnectionPool
from streams.transport.missing_right import missing_right
from streams.transport.security import OPEN, Security

MAX_REQUEST_BYTES = 64 * 2**20
BATCH_BYTES = 256 * 2**10
METADATA_MILLISECONDS = 15_000
DELIVERY_MILLISECONDS = 120_000
RECORD_OVERHEAD_BYTES = 100


class KafkaSender:
    """Implements ``Sender``. The first failure closes it: nothing later is sent or confirmed."""

    def __init__(
        self,
        bootstrap: str,
        max_in_flight_bytes: int,
        delivery_milliseconds: int = DELIVERY_MILLISECONDS,
        pool: ConnectionPool[Any] | None = None,
        security: Security = OPEN,
    ) -> None:
        """Connect; with ``pool`` the producer comes from there, and goes back when all is well."""
        self._bootstrap = bootstrap
        self._security = security
        self._max_bytes = max_in_flight_bytes
        self._bytes = 0
        self._records = 0
        self._failure: BrokerError | None = None
        self._changed = threading.Condition()
        expect_broker(bootstrap, security)
        self._pool = pool
        self._is_own = pool is None
        with plain_errors(bootstrap, "be reached", security):
            made = pool.take() if pool is not None else self._made(delivery_milliseconds)
            self._producer = made

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
        size = _size(value, key, headers)
        self._enter(size)
        confirmed: Future[int] = Future()
        try:
            sent = self._handed_over(topic, partition, value, key, headers)
        except (KafkaError, ValueError) as error:
            self._leave(size, self._fail(topic, partition, error))
            raise self._raised() from error
        sent.add_callback(self._delivered, confirmed, size)
        sent.add_errback(self._refused, confirmed, size, topic, partition)
        return confirmed

    def _handed_over(
        self, topic: str, partition: int, value: bytes | None, key: bytes | None, headers: Headers
    ) -> Any:
        """Return the producer's future of a record; raises ValueError if it knows no such place."""
        arguments = {"value": value, "key": key, "headers": list(headers), "partition": partition}
        try:
            return self._producer.send(topic, **arguments)
        except ValueError:
            if self._is_own:
                raise
        # A pooled producer knows topics as they were: somebody may have made this one anew since.
        with self._changed:
            self._changed.wait_for(lambda: self._records == 1)
        _stop(self._producer)
        self._producer, self._is_own = self._made(DELIVERY_MILLISECONDS), True
        return self._producer.send(topic, **arguments)

    def _made(self, delivery_milliseconds: int) -> Any:
        return _producer(self._bootstrap, delivery_milliseconds, self._security)

    def flush(self) -> None:
        """Wait until all is confirmed; raise BrokerError if any send failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._records == 0)
            if self._failure is not None:
                raise self._raised()

    def _enter(self, size: int) -> None:
        """Count a record in once there is room; one larger than the bound goes alone."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._failure is not None
                    or self._bytes == 0
                    or self._bytes + size <= self._max_bytes
                )
            )
            if self._failure is not None:
                raise self._raised()
            self._bytes += size
            self._records += 1

    def _leave(self, size: int, failure: BrokerError | None = None) -> BrokerError | None:
        """Count a record out and return the failure that is final by now, if there is one."""
        with self._changed:
            self._bytes -= size
            self._records -= 1
            first = failure is not None and self._failure is None
            if first:
                self._failure = failure
            self._changed.notify_all()
        if first:
            # Closing waits for the thread that calls us, so it gets a thread of its own.
            threading.Thread(
                target=_stop, args=(self._producer,), name="sender-stop", daemon=True
            ).start()
        return self._failure

    def _delivered(self, confirmed: "Future[int]", size: int, metadata: Any) -> None:
        # A record confirmed behind a failed one may follow a hole: it is not acknowledged either.
        _settle(confirmed, self._leave(size), metadata.offset)

    def _refused(
        self,
        confirmed: "Future[int]",
        size: int,
        topic: str,
        partition: int,
        error: BaseException,
    ) -> None:
        _settle(confirmed, self._leave(size, self._fail(topic, partition, error)), -1)

    def _fail(self, topic: str, partition: int, error: BaseException) -> BrokerError:
        where = f"Kafka at {self._bootstrap} did not take a record for {topic}/{partition}"
        if missing := missing_right(error):
            return AccessError(f"{where}: {missing}")
        return BrokerError(f"{where}: {reason(error)}")

    def _raised(self) -> BrokerError:
        """Return the first failure as a new error, since one that was raised keeps its trace."""
        return type(self._failure or BrokerError())(str(self._failure))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        whole = False
        try:
            if error is None:
                self.flush()
                whole = True
        finally:
            if whole and self._pool is not None:
                self._pool.give_back(self._producer)
            else:
                _stop(self._producer)


def producer_pool(bootstrap: str, security: Security = OPEN) -> ConnectionPool[Any]:
    """Return a keeper of producers, for senders that come one after the other."""
    return ConnectionPool(lambda: _producer(bootstrap, DELIVERY_MILLISECONDS, security), _stop)


def _stop(producer: Any) -> None:
    try:
        producer.close(timeout=0)
    except KafkaError:
        # Its flush gives up at once, as asked, and leaves the records to us.
        producer._sender.force_close()


def _producer(bootstrap: str, delivery_milliseconds: int, security: Security) -> Any:
    made = KafkaProducer(
        bootstrap_servers=addresses(bootstrap),
        bootstrap_timeout_ms=BOOTSTRAP_MILLISECONDS,
        enable_idempotence=True,
        acks="all",
        batch_size=BATCH_BYTES,
        linger_ms=2,
        delivery_timeout_ms=delivery_milliseconds,
        request_timeout_ms=min(30_000, delivery_milliseconds // 2),
        max_request_size=MAX_REQUEST_BYTES,
        max_block_ms=METADATA_MILLISECONDS,
        receive_message_max_bytes=FRAME_BYTES,
        allow_auto_create_topics=False,
        reconnect_backoff_max_ms=2_000,
        metrics_enabled=False,
        **security.client_options(),
    )
    hurried(made._metadata)
    return made


def _size(value: bytes | None, key: bytes | None, headers: Headers) -> int:
    payload = len(value or b"") + len(key or b"")
    return payload + sum(len(k) + len(v) for k, v in headers) + RECORD_OVERHEAD_BYTES


def _settle(confirmed: "Future[int]", failure: BrokerError | None, offset: int) -> None:
    if failure is None:
        confirmed.set_result(offset)
    else:
        confirmed.set_exception(failure)
