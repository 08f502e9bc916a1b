"""Producers that are killed, and brokers that go away while one writes: nothing lost or doubled."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from millrace.local_kafka import NativeKafka
from producers.progress import Silent
from producers.publish import publish
from streams import topics
from streams.catalog.corpora import find_corpus, get_corpus, get_vocabulary
from streams.errors import BrokerError
from streams.records.corpus import PartitionEnd
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from streams.wire import codec
from tests.chaos.producer import PARTITIONS, PER_PARTITION, batches, draft

AWAY_SECONDS = 30.0
IMPATIENT_MILLISECONDS = 8_000
FEW = 2
SENDS = PARTITIONS * (FEW + 1) + 3  # batches and ends; vocabulary, record and sealed record


@contextmanager
def started(url: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A producer process, which is killed at the block's end if it still lives."""
    command = [sys.executable, "-m", "tests.chaos.producer", url, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def in_effect(client: Client, corpus: str) -> list[tuple[int, int, bytes]]:
    """Return what consumers make of the log: each next sequence once, then the end."""
    found = []
    for partition in range(PARTITIONS):
        expected = 0
        ends = set()
        for record in client.read(topics.tokens(corpus, PARTITIONS).name, partition):
            headers = dict(record.headers)
            value = record.value or b""
            if headers[topics.KIND] == topics.END:
                ends.add(value)
            elif int(headers[topics.SEQUENCE]) == expected:
                assert not ends, "a batch behind the end"
                found.append((partition, expected, value))
                expected += 1
            else:
                assert int(headers[topics.SEQUENCE]) < expected, "a batch is missing"
        assert {codec.decode(PartitionEnd, end).batches for end in ends} == {expected}
    return found


def assert_whole(client: Client, corpus: str, per_partition: int = PER_PARTITION) -> None:
    """Compare a corpus with what an undisturbed production writes."""
    made = batches(corpus, per_partition)
    wanted = sorted((b.partition, b.sequence, codec.encode(b)) for b in made)
    assert in_effect(client, corpus) == wanted
    undisturbed = connect(f"memory://undisturbed-{corpus}")
    expected = publish(undisturbed, draft(corpus, per_partition=per_partition), Silent())
    assert get_corpus(client, corpus) == expected
    assert expected.sealed
    assert expected.batches == PARTITIONS * per_partition
    assert get_vocabulary(client, corpus) == get_vocabulary(undisturbed, corpus)
    forget(f"undisturbed-{corpus}")


def stored(client: Client, corpus: str) -> int:
    """Return how many records the topic of a corpus holds, 0 if there is none."""
    topic = topics.tokens(corpus, PARTITIONS).name
    return sum(client.ends(topic).values()) if topic in client.topics() else 0


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_a_producer_killed_again_and_again_loses_and_doubles_nothing(
    kafka_url: str, kafka: Client, prefix: str
) -> None:
    chance = random.Random(3)
    killed_resuming = 0
    for number in range(6):
        before = stored(kafka, prefix)
        with started(kafka_url, prefix) as process:
            if number % 2:  # while it goes through what is there already
                assert process.stdout is not None
                assert b"broke off" in process.stdout.readline()
                time.sleep(chance.random() * 0.02 * before)
                process.kill()
                killed_resuming += stored(kafka, prefix) == before
            else:  # while it sends
                grown = before + chance.randrange(1, 30)
                while stored(kafka, prefix) < grown:
                    assert process.poll() is None
                time.sleep(chance.random() * 0.05)
                process.kill()
            process.communicate()
            assert process.returncode == -9
    assert killed_resuming >= 2
    found = find_corpus(kafka, prefix)
    assert found is not None
    assert not found.sealed
    publish(kafka, draft(prefix), Silent())
    assert_whole(kafka, prefix)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_is_away_for_half_a_minute_costs_a_producer_nothing(
    native_kafka: NativeKafka,
) -> None:
    url = native_kafka.url
    with (
        started(url, "patient") as patient,
        started(url, "impatient", str(IMPATIENT_MILLISECONDS)) as impatient,
    ):
        client = connect(url)
        while min(stored(client, "patient"), stored(client, "impatient")) < 20:
            assert patient.poll() is impatient.poll() is None
        native_kafka.kill()
        began = time.monotonic()
        _, said = impatient.communicate(timeout=AWAY_SECONDS)
        assert impatient.returncode == 1
        assert len(said.decode().strip().splitlines()) == 1
        assert b"Kafka at" in said
        time.sleep(began + AWAY_SECONDS - time.monotonic())
        native_kafka.start()
        _, said = patient.communicate(timeout=120)
    assert (patient.returncode, said) == (0, b"")
    assert_whole(client, "patient")
    publish(client, draft("impatient"), Silent())
    assert_whole(client, "impatient")
    client.close()


# Without a broker: every place at which a send can go wrong


class Failing:
    """A sender whose send number ``at`` is reported as failed after ``late`` more, stored or not.

    As with Kafka's, nothing is stored behind it in its partition, and nothing is sent once the
    failure is known.
    """

    def __init__(self, inner: Any, at: int, stored: bool, late: int) -> None:
        self.inner, self.at, self.stored, self.late = inner, at, stored, late
        self.count = 0
        self.broken: tuple[str, int] | None = None
        self.waiting: list[Future[int]] = []

    def send(self, topic: str, partition: int, value: Any, **named: Any) -> "Future[int]":
        if self.count > self.at + self.late:
            self._know()
            raise BrokerError("no answer came in time")
        number, self.count = self.count, self.count + 1
        if number == self.at:
            self.broken = topic, partition
            if self.stored:
                self.inner.send(topic, partition, value, **named)
        if number < self.at or (topic, partition) != self.broken:
            sent: Future[int] = self.inner.send(topic, partition, value, **named)
            return sent
        self.waiting.append(Future())
        if self.late == 0:
            self._know()
        return self.waiting[-1]

    def _know(self) -> None:
        for waiting in self.waiting:
            if not waiting.done():
                waiting.set_exception(BrokerError("no answer came in time"))

    def flush(self) -> None:
        if self.broken is not None:
            self._know()
            raise BrokerError("no answer came in time")

    def __enter__(self) -> "Failing":
        return self

    def __exit__(self, *error: object) -> None:
        self.inner.__exit__(*error)


class FailingClient:
    """A client whose sender fails once."""

    def __init__(self, inner: Client, at: int, stored: bool, late: int = 0) -> None:
        self.inner, self.how = inner, (at, stored, late)

    def sender(self) -> Failing:
        return Failing(self.inner.sender(), *self.how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def broken_off(client: Client, corpus: str, at: int, stored: bool, late: int = 0) -> bool:
    """Produce until send ``at`` fails; tell whether it came to that."""
    failing: Any = FailingClient(client, at, stored, late)
    try:
        publish(failing, draft(corpus, per_partition=FEW), Silent())
    except BrokerError:
        return True
    return False


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not-stored"])
@pytest.mark.parametrize("late", [0, 1, 4])
@pytest.mark.parametrize("at", range(SENDS))
def test_a_send_reported_as_failed_costs_nothing_wherever_it_is(
    at: int, late: int, stored: bool, prefix: str
) -> None:
    client = connect(f"memory://{prefix}")
    assert broken_off(client, prefix, at, stored, late)
    publish(client, draft(prefix, per_partition=FEW), Silent())
    assert_whole(client, prefix, FEW)
    forget(prefix)


@pytest.mark.parametrize("first", range(SENDS))
def test_a_resumed_production_may_fail_again_wherever_it_is(first: int, prefix: str) -> None:
    for second in range(SENDS):
        for stored in (True, False):
            corpus = f"{prefix}-{second}-{stored}".lower()
            client = connect(f"memory://{corpus}")
            assert broken_off(client, corpus, first, stored=True)
            again = broken_off(client, corpus, second, stored)
            assert again or second + 1 >= SENDS - first
            publish(client, draft(corpus, per_partition=FEW), Silent())
            assert_whole(client, corpus, FEW)
            forget(corpus)


def test_a_small_corpus_takes_as_many_sends_as_are_tried(prefix: str) -> None:
    assert not broken_off(connect(f"memory://{prefix}"), prefix, SENDS, stored=True)
    forget(prefix)


def test_a_corpus_of_another_name_shares_nothing(prefix: str) -> None:
    client = connect(f"memory://{prefix}")
    for corpus in ("one", "two"):
        publish(client, draft(corpus), Silent())
        assert_whole(client, corpus)
    assert replace(get_corpus(client, "one"), name="two") == get_corpus(client, "two")
    forget(prefix)
