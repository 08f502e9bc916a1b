"""How far a group is, by hand-made logs, and where batches stand in them."""

from collections.abc import Iterator

import pytest

from consumers.health.corpus_log import first_sequence, offset_of
from consumers.health.group_lag import Reading, lag, readings
from streams import topics
from streams.errors import LostInputError
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect
from streams.transport.memory.broker import broker, forget

NAME = "lag-of-groups"


@pytest.fixture
def client() -> Iterator[Client]:
    forget(NAME)
    made = connect(f"memory://{NAME}")
    made.create_topics([TopicSpec("tokens.prose", 3)])
    yield made
    forget(NAME)


def append(partition: int, *sequences: int | None) -> None:
    for sequence in sequences:
        headers = () if sequence is None else ((topics.SEQUENCE, str(sequence).encode()),)
        broker(NAME).append("tokens.prose", partition, None, b"x", headers)


@pytest.mark.parametrize(
    ("reading", "at", "lag"),
    [
        (Reading(0, 0, 0), 0, 0),
        (Reading(0, 3, 10), 3, 7),
        (Reading(5, 3, 10), 5, 5),
        (Reading(5, 8, 10), 8, 2),
        (Reading(10, 3, 10), 10, 0),
        (Reading(0, 12, 10), 12, 0),
    ],
)
def test_what_was_deleted_is_no_lag(reading: Reading, at: int, lag: int) -> None:
    assert (reading.at, reading.lag) == (at, lag)


def test_every_partition_counts_whether_something_was_acknowledged_or_not(client: Client) -> None:
    append(0, *range(6))
    append(1, *range(4))
    client.rewind("g", {("tokens.prose", 0): 2, ("other", 2): 9})
    broker(NAME).delete_records("tokens.prose", 1, 1)
    assert readings(client, "g", "tokens.prose") == {
        0: Reading(0, 2, 6),
        1: Reading(1, 0, 4),
        2: Reading(0, 0, 0),
    }
    assert lag(client, "g", "tokens.prose") == (2, 9)


def test_the_first_sequence_is_that_of_the_first_record_that_has_one(client: Client) -> None:
    append(0, None, 4, 5)
    assert first_sequence(client, "tokens.prose", 0, 0) == 4
    assert first_sequence(client, "tokens.prose", 0, 2) == 5
    assert first_sequence(client, "tokens.prose", 0, 3) is None
    assert first_sequence(client, "tokens.prose", 1, 0) is None


def test_a_batch_stands_at_its_first_record_or_is_to_come_or_was_deleted(client: Client) -> None:
    append(1, 0, 1, 2, 1)
    assert [offset_of(client, "tokens.prose", 1, n) for n in (0, 1, 2, 3)] == [0, 1, 2, 4]
    broker(NAME).delete_records("tokens.prose", 1, 2)
    assert offset_of(client, "tokens.prose", 1, 1) == 3
    for gone in (0, 3):
        with pytest.raises(LostInputError, match=f"partition 1: batch {gone} is .* offset 2,"):
            offset_of(client, "tokens.prose", 1, gone)
