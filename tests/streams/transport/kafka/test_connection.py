"""How long a broker is tried, and what is said of it; where one is needed, it is a bare socket."""

import logging
import socket

import pytest
from kafka import errors

from streams.errors import AccessError, BrokerError, SettingsError
from streams.transport.kafka import connection
from streams.transport.kafka.connection import (
    CONNECT_SECONDS,
    addresses,
    expect_broker,
    patiently,
    plain_errors,
    quiet,
    reason,
)
from streams.transport.security import Sasl, Security

USER = Security(sasl=Sasl("me", "secret"))


class Clock:
    """Time goes by in sleeps alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_addresses_are_host_and_port() -> None:
    assert addresses("a:1, [::1]:65535") == ["a:1", "[::1]:65535"]


@pytest.mark.parametrize("text", ["a", ":1", "a:", "a:x", "a:0", "a:65536", "a:1,", "a:-1"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not host:port"):
        addresses(text)


def test_a_broker_is_there_once_one_of_its_addresses_answers(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answers(address: str) -> bool:
        asked.append(address)
        return address == "b:2" and clock.now > 1001

    monkeypatch.setattr(connection, "_answers", answers)
    expect_broker("a:1,b:2")
    assert set(asked) == {"a:1", "b:2"}
    assert 1001 < clock.now < 1001.5


def test_nobody_is_waited_for_for_ever(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_answers", lambda _: False)
    with pytest.raises(BrokerError, match="no Kafka broker answers at a:1; start one with"):
        expect_broker("a:1")
    assert CONNECT_SECONDS <= clock.now - 1000 < CONNECT_SECONDS + 1


def test_who_answers_is_who_takes_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        expect_broker(f"127.0.0.1:{port}")
        assert connection._answers(f"127.0.0.1:{port}")
    assert not connection._answers(f"127.0.0.1:{port}")


def test_the_first_that_answers_is_asked_whether_it_lets_us_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(connection, "_answers", lambda address: address != "a:1")
    monkeypatch.setattr(
        connection, "refusal", lambda address, _: asked.append(address) or "wrong password"
    )
    with pytest.raises(AccessError, match="Kafka at b:2: wrong password"):
        expect_broker("a:1,b:2,c:3", USER)
    expect_broker("a:1,b:2,c:3")  # nothing to ask without a user or encryption
    assert asked == ["b:2"]
    monkeypatch.setattr(connection, "refusal", lambda *_: None)
    expect_broker("b:2", USER)


@pytest.mark.parametrize(
    ("error", "there", "kind", "said"),
    [
        (errors.TopicAuthorizationFailedError("t"), True, AccessError, "does not let us do it: a"),
        (errors.TopicAuthorizationFailedError("t"), False, AccessError, "a right to the topic"),
        (errors.KafkaTimeoutError("late"), False, BrokerError, "no Kafka broker answers"),
        (errors.KafkaTimeoutError("late"), True, AccessError, "Kafka at a:1: locked out"),
        (OSError("reset"), True, AccessError, "Kafka at a:1: locked out"),
        (errors.UnknownError("odd\nmore"), True, BrokerError, "cannot do it: .*odd$"),
    ],
)
def test_an_error_of_the_library_is_said_in_one_line(
    error: Exception, there: bool, kind: type, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_answers", lambda _: there)
    monkeypatch.setattr(connection, "refusal", lambda *_: "locked out")
    with pytest.raises(kind, match=said) as raised, plain_errors("a:1", "do it", USER):
        raise error
    assert "\n" not in str(raised.value)


def test_without_a_user_a_broker_that_is_there_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_answers", lambda _: True)
    monkeypatch.setattr(connection, "refusal", lambda *_: None)
    with pytest.raises(BrokerError, match=r"cannot do it: .*late"), plain_errors("a:1", "do it"):
        raise errors.KafkaTimeoutError("late")


def test_an_error_without_a_text_is_named_by_its_kind() -> None:
    assert reason(ValueError()) == "ValueError"
    assert reason(ValueError("one\ntwo")) == "one"


def test_passing_failures_are_tried_again_for_some_seconds(clock: Clock) -> None:
    tries: list[float] = []

    def work(until: float) -> str:
        tries.append(clock.now)
        if clock.now < until:
            raise errors.NotCoordinatorError
        return "done"

    assert patiently(lambda: work(1002.0), seconds=3.0) == "done"
    assert len(tries) > 5
    with pytest.raises(errors.NotCoordinatorError):
        patiently(lambda: work(1e9), seconds=3.0)
    assert 1005 <= clock.now < 1006


def test_lasting_failures_are_not_tried_again(clock: Clock) -> None:
    def work() -> None:
        raise errors.TopicAuthorizationFailedError

    with pytest.raises(errors.TopicAuthorizationFailedError):
        patiently(work)
    assert clock.now == 1000


def test_the_library_is_quiet_unless_somebody_wants_to_hear_it() -> None:
    logger = logging.getLogger("kafka")
    before = logger.level
    try:
        logger.setLevel(logging.NOTSET)
        quiet()
        assert logger.level == logging.CRITICAL
        logger.setLevel(logging.DEBUG)
        quiet()
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)
