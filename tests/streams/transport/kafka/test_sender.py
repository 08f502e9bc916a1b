"""What a sender to Kafka does around its first failure, over a producer that obeys the test."""

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from streams.errors import BrokerError
from streams.transport.kafka import sender as sender_module
from streams.transport.kafka.connection_pool import ConnectionPool
from streams.transport.kafka.sender import RECORD_OVERHEAD_BYTES, KafkaSender

SOON = 5.0
LEAST = RECORD_OVERHEAD_BYTES


class Delivery:
    """The producer's future of a record; its callbacks are called by whoever decides its fate."""

    def __init__(self) -> None:
        self._good: Callable[[Any], None] = lambda _: None
        self._bad: Callable[[BaseException], None] = lambda _: None

    def add_callback(self, call: Any, *arguments: Any) -> None:
        self._good = lambda metadata: call(*arguments, metadata)

    def add_errback(self, call: Any, *arguments: Any) -> None:
        self._bad = lambda error: call(*arguments, error)

    def stored(self, offset: int) -> None:
        self._good(type("Metadata", (), {"offset": offset})())

    def fails(self, why: str = "gone") -> None:
        self._bad(KafkaError(why))


class Producer:
    """Buffers what it is given. refuses: values that it does not even take."""

    def __init__(self) -> None:
        self.buffered: list[Delivery] = []
        self.values: list[bytes] = []
        self.refuses: set[bytes] = set()
        self.closed = threading.Event()
        self.timeouts: list[float] = []
        self.close_fails = False
        self.forced = threading.Event()
        self._sender = type("Sender", (), {"force_close": lambda _: self.forced.set()})()

    def send(self, topic: str, *, value: bytes, **_: Any) -> Delivery:
        if value in self.refuses:
            raise MessageSizeTooLargeError("too large")
        self.values.append(value)
        self.buffered.append(Delivery())
        return self.buffered[-1]

    def close(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        self.closed.set()
        if self.close_fails:
            raise KafkaTimeoutError("not flushed")


@pytest.fixture
def address() -> Iterator[str]:
    """A place where somebody answers, which is all that a sender asks for at first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def pool(producer: Producer) -> ConnectionPool[Any]:
    return ConnectionPool(lambda: producer, lambda one: one.close(timeout=0))


@pytest.fixture
def sender(address: str, pool: ConnectionPool[Any]) -> KafkaSender:
    return KafkaSender(address, 10 * LEAST, pool=pool)


@pytest.mark.parametrize(("delivery", "request_time"), [(9_000, 4_500), (120_000, 30_000)])
def test_a_request_may_take_half_of_the_time_for_delivery_so_that_a_second_one_fits(
    address: str, monkeypatch: pytest.MonkeyPatch, delivery: int, request_time: int
) -> None:
    given: dict[str, Any] = {}

    class Asked:
        _metadata = SimpleNamespace()

        def __init__(self, **options: Any) -> None:
            given.update(options)

    monkeypatch.setattr(sender_module, "KafkaProducer", Asked)
    monkeypatch.setattr(sender_module, "hurried", lambda _: None)
    KafkaSender(address, 10 * LEAST, delivery)
    assert (given["delivery_timeout_ms"], given["request_timeout_ms"]) == (delivery, request_time)
    assert (given["acks"], given["enable_idempotence"]) == ("all", True)


@pytest.mark.parametrize(
    "record",
    [
        {"value": b"x" * LEAST},
        {"value": None, "key": b"x" * LEAST},
        {"value": None, "headers": (("x" * (LEAST - 1), b"y"),)},
        {"value": b"x" * (LEAST // 2), "key": b"x" * (LEAST // 2)},
    ],
)
def test_key_value_and_headers_count_towards_the_bytes_in_flight(
    address: str, pool: ConnectionPool[Any], producer: Producer, record: dict[str, Any]
) -> None:
    sender = KafkaSender(address, 5 * LEAST, pool=pool)
    sender.send("t", 0, **record)
    sender.send("t", 0, **record)  # twice 2 * LEAST
    blocked = threading.Thread(target=lambda: sender.send("t", 0, b"x"), daemon=True)
    blocked.start()
    blocked.join(0.05)
    assert blocked.is_alive()
    assert len(producer.buffered) == 2
    producer.buffered[0].stored(0)
    blocked.join(SOON)
    assert len(producer.buffered) == 3


def test_what_just_fits_is_not_held_back(
    address: str, pool: ConnectionPool[Any], producer: Producer
) -> None:
    sender = KafkaSender(address, 2 * LEAST + 2, pool=pool)
    sender.send("t", 0, b"x")
    sender.send("t", 0, b"x")
    assert len(producer.buffered) == 2


def test_what_is_still_buffered_after_the_first_failure_is_never_sent(
    sender: KafkaSender, producer: Producer
) -> None:
    sends = [sender.send("t", 0, b"%d" % number) for number in range(4)]
    producer.buffered[0].stored(0)
    producer.buffered[1].fails()
    # At once and without a flush, which would send the others behind the hole.
    assert producer.closed.wait(SOON)
    assert producer.timeouts == [0]
    assert sends[0].result(SOON) == 0
    with pytest.raises(BrokerError, match=r"did not take a record for t/0: .*gone"):
        sends[1].result(SOON)


def test_records_confirmed_behind_a_failed_one_are_not_confirmed(
    sender: KafkaSender, producer: Producer
) -> None:
    sends = [sender.send("t", 0, b"%d" % number) for number in range(3)]
    producer.buffered[0].fails("first")
    producer.buffered[1].stored(1)
    producer.buffered[2].fails("second")
    for sent in sends:
        assert "first" in str(sent.exception(SOON))
    with pytest.raises(BrokerError, match="first"):
        sender.flush()
    with pytest.raises(BrokerError, match="first"):
        sender.send("t", 0, b"later")
    assert producer.values == [b"0", b"1", b"2"]
    assert producer.closed.wait(SOON)
    assert producer.timeouts == [0]  # closed once


def test_a_record_that_is_not_even_taken_is_a_failure_like_any_other(
    sender: KafkaSender, producer: Producer
) -> None:
    producer.refuses = {b"large"}
    buffered = sender.send("t", 0, b"small")
    with pytest.raises(BrokerError, match="too large"):
        sender.send("t", 2, b"large")
    assert producer.closed.wait(SOON)
    producer.buffered[0].stored(0)
    assert "t/2" in str(buffered.exception(SOON))
    with pytest.raises(BrokerError, match="too large"):
        sender.flush()


def test_a_producer_that_wants_to_flush_first_is_closed_by_force(
    sender: KafkaSender, producer: Producer
) -> None:
    producer.close_fails = True
    sender.send("t", 0, b"a")
    producer.buffered[0].fails()
    assert producer.forced.wait(SOON)


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(0.05)
    return thread, done


def test_a_send_waits_while_too_many_bytes_are_in_flight(
    sender: KafkaSender, producer: Producer
) -> None:
    for _ in range(9):
        sender.send("t", 0, b"1")
    thread, done = in_thread(lambda: sender.send("t", 0, b"x" * LEAST))
    assert not done
    producer.buffered[0].stored(0)
    producer.buffered[1].stored(1)
    thread.join(SOON)
    assert len(done) == 1
    assert producer.values[-1] == b"x" * LEAST


def test_a_record_larger_than_the_bound_goes_alone(sender: KafkaSender, producer: Producer) -> None:
    sender.send("t", 0, b"x" * 100 * LEAST)
    thread, done = in_thread(lambda: sender.send("t", 0, b"1"))
    assert not done
    producer.buffered[0].stored(0)
    thread.join(SOON)
    assert len(done) == 1


def refused(sender: KafkaSender) -> str:
    with pytest.raises(BrokerError) as caught:
        sender.send("t", 0, b"1")
    return str(caught.value)


def test_whoever_waits_for_room_hears_of_a_failure(sender: KafkaSender, producer: Producer) -> None:
    sender.send("t", 0, b"x" * 100 * LEAST)
    thread, done = in_thread(lambda: refused(sender))
    producer.buffered[0].fails("full")
    thread.join(SOON)
    assert len(done) == 1
    assert "full" in done[0]
    assert producer.values == [b"x" * 100 * LEAST]


def test_a_flush_waits_for_the_last_confirmation(sender: KafkaSender, producer: Producer) -> None:
    sender.send("t", 0, b"a")
    sender.send("t", 1, b"b")
    thread, done = in_thread(sender.flush)
    producer.buffered[1].stored(0)
    thread.join(0.05)
    assert not done
    producer.buffered[0].stored(0)
    thread.join(SOON)
    assert done == [None]


def test_a_producer_goes_back_only_when_all_is_well(
    address: str, producer: Producer, pool: ConnectionPool[Any]
) -> None:
    with KafkaSender(address, LEAST, pool=pool):
        pass
    assert pool.take() is producer
    assert not producer.closed.is_set()
    pool.give_back(producer)
    with pytest.raises(ValueError, match="of its own"), KafkaSender(address, LEAST, pool=pool):
        raise ValueError("of its own")
    assert producer.timeouts == [0]
