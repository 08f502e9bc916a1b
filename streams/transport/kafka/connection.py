"""Reaching a Kafka broker, and saying in one line why it cannot be done."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    SaslAuthenticationFailedError,
)
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
)

from streams.errors import AccessError, BrokerError, SettingsError
from streams.transport.kafka.access_refusal import refusal
from streams.transport.missing_right import missing_right
from streams.transport.security import OPEN, Security

CONNECT_SECONDS = 4.0
BOOTSTRAP_MILLISECONDS = 6_000
REQUEST_MILLISECONDS = 15_000
RETRY_SECONDS = 10.0
FRAME_BYTES = 2**30
METADATA_MILLISECONDS = 10

_OF_CONNECTIONS = (
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    SaslAuthenticationFailedError,
    OSError,
)

T = TypeVar("T")


def addresses(bootstrap: str) -> list[str]:
    """Return the brokers named by ``host:port[,host:port]``."""
    found = [part.strip() for part in bootstrap.split(",")]
    for address in found:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise SettingsError(f"broker address {address!r} is not host:port")
    return found


def hurried(metadata: Any) -> None:
    """Let a new client of kafka-python ask for a topic's partitions at once.

    It waits for a tenth of a second after its first look at the cluster, whatever its own
    ``retry_backoff_ms``, which it does not hand on to ``metadata``: most of the time of a short
    read or a single send.
    """
    metadata.config["retry_backoff_ms"] = METADATA_MILLISECONDS


def expect_broker(bootstrap: str, security: Security = OPEN) -> None:
    """Return once one of the brokers takes a connection; raise BrokerError if none does.

    The client library retries behind the scenes and reports through its log; a plain connection
    tells at once what is wrong. Raises AccessError if a broker that is there does not let us in:
    tried once, since many brokers lock out who fails again and again.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(BrokerError),
        stop=stop_after_delay(CONNECT_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    attempts(_expect_answer, bootstrap)
    if security != OPEN:
        _expect_access(bootstrap, security)


def _expect_access(bootstrap: str, security: Security) -> None:
    """Raise AccessError if the first broker that answers does not let us in."""
    address = next(filter(_answers, addresses(bootstrap)), None)
    if address is not None and (why := refusal(address, security)):
        raise AccessError(f"Kafka at {address}: {why}")


def _expect_answer(bootstrap: str) -> None:
    if not _any_answers(bootstrap):
        raise BrokerError(_nobody(bootstrap))


def _any_answers(bootstrap: str) -> bool:
    return any(_answers(address) for address in addresses(bootstrap))


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS / 2):
            return True
    except OSError:
        return False


def _nobody(bootstrap: str) -> str:
    return (
        f"no Kafka broker answers at {bootstrap}; start one with `millrace broker` "
        "or `docker compose up`"
    )


def quiet() -> None:
    """Keep the client library's log to itself unless someone has set its level.

    It reports every reconnection; what matters reaches us as an exception.
    """
    logger = logging.getLogger("kafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


@contextmanager
def plain_errors(bootstrap: str, action: str, security: Security = OPEN) -> Iterator[None]:
    """Turn the library's errors into a BrokerError that names the broker and the action.

    Into an AccessError where a right is missing, or where we are not let in any more.
    """
    try:
        yield
    except (KafkaError, OSError) as error:
        if why := missing_right(error):
            raise AccessError(f"Kafka at {bootstrap} does not let us {action}: {why}") from error
        if not _any_answers(bootstrap):
            raise BrokerError(_nobody(bootstrap)) from error
        if isinstance(error, _OF_CONNECTIONS):
            _expect_access(bootstrap, security)
        raise BrokerError(f"Kafka at {bootstrap} cannot {action}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return an error as the first line of its text."""
    return (str(error) or type(error).__name__).splitlines()[0]


def patiently(call: Callable[[], T], seconds: float = RETRY_SECONDS) -> T:
    """Return what ``call`` returns, calling again while its failure is a passing one."""
    attempts = Retrying(
        retry=retry_if_exception(lambda e: isinstance(e, KafkaError) and bool(e.retriable)),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    return attempts(call)
