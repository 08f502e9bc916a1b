"""Producers that are killed, and brokers that go away while one writes: nothing lost or doubled."""

import random
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from producers.progress import Silent
from producers.publish import publish
from streams import codec, topics
from streams.catalog import get_corpus
from streams.corpus import PartitionEnd
from streams.native import NativeKafka
from streams.transport.client import Client
from streams.transport.connect import connect
from tests.chaos.producer import PARTITIONS, PER_PARTITION, batches, draft

AWAY_SECONDS = 30.0


def start(url: str, corpus: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.chaos.producer", url, corpus]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


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
                found.append((partition, expected, value))
                expected += 1
            else:
                assert int(headers[topics.SEQUENCE]) < expected, "a batch is missing"
        assert {codec.decode(PartitionEnd, end).batches for end in ends} == {expected}
    return found


def assert_whole(client: Client, corpus: str) -> None:
    """Compare a corpus with what an undisturbed production would have written."""
    wanted = sorted((b.partition, b.sequence, codec.encode(b)) for b in batches(corpus))
    assert in_effect(client, corpus) == wanted
    record = get_corpus(client, corpus)
    assert record.sealed
    assert record.batches == PARTITIONS * PER_PARTITION


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_a_producer_killed_again_and_again_loses_and_doubles_nothing(
    kafka_url: str, kafka: Client, prefix: str
) -> None:
    chance = random.Random(3)
    killed = 0
    for _ in range(5):
        process = start(kafka_url, prefix)
        try:
            process.wait(timeout=1.5 + chance.random() * 1.5)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.communicate()
    assert killed >= 2
    publish(kafka, draft(prefix), Silent())
    assert_whole(kafka, prefix)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_is_away_for_half_a_minute_costs_a_producer_nothing(
    native_kafka: NativeKafka,
) -> None:
    process = start(native_kafka.url, "patient")
    time.sleep(3.0)
    native_kafka.kill()
    time.sleep(AWAY_SECONDS)
    native_kafka.start()
    _, said = process.communicate(timeout=120)
    client = connect(native_kafka.url)
    if process.returncode != 0:  # it may give up, in one line; then it is started again
        assert len(said.decode().strip().splitlines()) == 1
        publish(client, draft("patient"), Silent())
    assert_whole(client, "patient")
    client.close()


def test_a_corpus_of_another_name_shares_nothing(prefix: str) -> None:
    client = connect(f"memory://{prefix}")
    for corpus in ("one", "two"):
        publish(client, draft(corpus), Silent())
        assert_whole(client, corpus)
    assert replace(get_corpus(client, "one"), name="two") == get_corpus(client, "two")
