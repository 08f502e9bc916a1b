"""A real Kafka for tests: the one that is named, else Docker's, else one of our own."""

import gc
import os
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from millrace.local_kafka import NativeKafka, cache_folder, jars, java
from millrace.local_kafka.broker import free_port
from streams.errors import BrokerError
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from tests.integration.secured_kafka import SecuredKafka, secured_kafka

IMAGE = "apache/kafka:4.3.1"
INSIDE_PORT = 19092
CONTAINER_SECONDS = 90.0
HEAP_MEGABYTES = 384


KAFKA_PYTHON_WARNINGS = (
    # It reads its schemas by a function that Python deprecated and then took back.
    "ignore:(read|open)_text is deprecated:DeprecationWarning",
    # It forgets sockets that were refused; they are closed when they are collected.
    "ignore:unclosed <socket.*proto=6:ResourceWarning",
    "ignore:unclosed <ssl.SSLSocket.*proto=6:ResourceWarning",
    "ignore:Exception ignored in. <ssl.SSLSocket.*proto=6:pytest.PytestUnraisableExceptionWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    """Bear with what the Kafka library does wrong and we cannot mend."""
    for line in KAFKA_PYTHON_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def kafka_url() -> Iterator[str]:
    """The address of a broker that this worker's tests share."""
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield f"kafka://{named}"
    elif _docker_answers():
        with _container() as url:
            yield url
    else:
        with NativeKafka(_native_cache("no Docker answers"), heap_megabytes=HEAP_MEGABYTES) as own:
            yield own.url


@pytest.fixture(scope="session")
def native_cache() -> Path:
    """The cache that holds Kafka's jars, for tests that start a broker themselves."""
    return _native_cache("this test kills its broker")


@pytest.fixture(scope="session")
def secured(native_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker that asks for passwords and certificates and looks at rights, shared like Kafka."""
    folder = tmp_path_factory.mktemp("certificates")
    with secured_kafka(native_cache, folder, HEAP_MEGABYTES) as own:
        yield own


@pytest.fixture
def native_kafka(native_cache: Path) -> Iterator[NativeKafka]:
    """A running broker of this test alone, to kill and start again."""
    with NativeKafka(native_cache, heap_megabytes=HEAP_MEGABYTES) as own:
        yield own


@pytest.fixture
def prefix() -> str:
    """What this test's topics and groups begin with, on a broker that others use too."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def kafka(kafka_url: str, prefix: str) -> Iterator[Client]:
    """A client of the shared broker; the test's topics are deleted at its end."""
    client = connect(kafka_url)
    yield client
    client.delete_topics([name for name in client.topics() if name.startswith(prefix)])
    client.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest, prefix: str) -> Iterator[str]:
    """An address of each kind of broker; this test's topics are gone at the end."""
    if request.param == "memory":
        yield f"memory://{prefix}"
        forget(prefix)
        return
    url = request.getfixturevalue("kafka_url")
    yield url
    client = connect(url)
    client.delete_topics([name for name in client.topics() if prefix in name])
    client.close()


def _native_cache(why: str) -> Path:
    """Return the cache that holds Kafka's jars; skip if Kafka cannot run here."""
    cache = cache_folder(os.environ)
    try:
        java()
        jars(cache)
    except BrokerError as error:
        _go_without(f"{why}, and {error}")
    return cache


def _go_without(reason: str) -> NoReturn:
    """Skip, except where a missing broker would pass for a tested one."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have a Kafka broker: {reason}")
    pytest.skip(f"no Kafka broker: {reason}")


def _docker_answers() -> bool:
    """Ask, and forgive Docker's library the connection it forgets when nobody is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _ping()
        gc.collect()
    return answers


def _ping() -> bool:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except (DockerException, OSError):
        return False
    return True


@contextmanager
def _container() -> Iterator[str]:
    """Run Kafka's own image, under a port that is chosen before, since the broker must tell it."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = DockerContainer(IMAGE).with_bind_ports(INSIDE_PORT, port)
    for name, value in _container_settings(port).items():
        container = container.with_env(name, value)
    with container:
        url = f"kafka://127.0.0.1:{port}"
        _await(url, container)
        yield url


def _container_settings(port: int) -> dict[str, str]:
    """Return the settings of one node; the image's own defaults go once one is given."""
    listeners = {"BROKER": "PLAINTEXT", "HOST": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"BROKER://:9092,HOST://:{INSIDE_PORT},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"BROKER://localhost:9092,HOST://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": ",".join(
            f"{name}:{kind}" for name, kind in listeners.items()
        ),
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_LOG_CLEANER_BACKOFF_MS": "2000",
        "KAFKA_HEAP_OPTS": f"-Xmx{HEAP_MEGABYTES}m",
    }


def _await(url: str, container: Any) -> None:
    deadline = time.monotonic() + CONTAINER_SECONDS
    while True:
        try:
            connect(url).close()
        except BrokerError:
            if time.monotonic() > deadline:
                words = container.get_logs()[0].decode(errors="replace")[-500:]
                pytest.fail(f"Kafka's container does not answer: {words}")
        else:
            return
