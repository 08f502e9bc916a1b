"""How long a reader of Kafka waits: while something comes, and no longer. No broker is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from streams.transport.client import StoredRecord
from streams.transport.kafka import log_reader
from streams.transport.kafka.connection import REQUEST_MILLISECONDS
from streams.transport.kafka.log_reader import (
    POLL_MILLISECONDS,
    SILENCE_SECONDS,
    KafkaReader,
    _until,
)

PLACE = TopicPartition("t", 0)


@dataclass
class Record:
    offset: int


@dataclass
class SlowBroker:
    """A consumer whose every poll takes some seconds and moves the position by some offsets.

    polls: (seconds, offsets to move on by, whether there are records at these offsets), in turn;
    the last one goes on for ever.
    """

    polls: list[tuple[float, int, bool]]
    at: int = 0
    now: float = 1000.0
    timeouts: list[int] = field(default_factory=list)

    def position(self, place: TopicPartition) -> int:
        assert place == PLACE
        return self.at

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        self.timeouts.append(timeout_ms)
        seconds, moved, stored = self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
        self.now += seconds
        first, self.at = self.at, self.at + moved
        return {PLACE: [Record(n) for n in range(first, self.at)]} if moved and stored else {}

    def read(self, end: int) -> Iterator[Any]:
        return (record.offset for record in _until(self, PLACE, end, lambda: self.now))


def test_a_broker_that_is_slow_is_read_to_the_end_however_long_it_takes() -> None:
    slow = SlowBroker([(SILENCE_SECONDS - 1, 1, True)])
    assert list(slow.read(20)) == list(range(20))
    assert slow.now - 1000 > 10 * SILENCE_SECONDS
    assert set(slow.timeouts) == {POLL_MILLISECONDS}


def test_offsets_that_were_compacted_away_are_progress_too() -> None:
    slow = SlowBroker([(SILENCE_SECONDS - 1, 5, False)])
    assert list(slow.read(50)) == []
    assert slow.at == 50


def test_a_broker_may_be_silent_for_a_while_between_records() -> None:
    polls = [(10.0, 0, False), (10.0, 0, False), (9.0, 0, False), (0.5, 1, True)] * 5
    assert list(SlowBroker([*polls, (100.0, 0, False)]).read(5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("before", [0, 3])
def test_a_silent_broker_is_given_up_after_a_while_and_not_before(before: int) -> None:
    moving = [(20.0, 1, True)] * before
    silent = SlowBroker([*moving, (0.5, 0, False)])
    reading = silent.read(10)
    assert [next(reading) for _ in range(before)] == list(range(before))
    began = silent.now
    with pytest.raises(KafkaTimeoutError, match=rf"nothing came for 30 s at {before}"):
        next(reading)
    assert SILENCE_SECONDS < silent.now - began <= SILENCE_SECONDS + 1


def test_records_behind_the_end_are_left_out_and_end_the_read() -> None:
    quick = SlowBroker([(0.1, 10, True)])
    assert list(quick.read(4)) == [0, 1, 2, 3]
    assert len(quick.timeouts) == 1


def test_nothing_is_asked_for_when_the_end_is_reached_already() -> None:
    done = SlowBroker([(0.1, 1, True)], at=7)
    assert list(done.read(7)) == []
    assert done.timeouts == []


class Connection:
    """A consumer of kafka-python over one partition; calls: what it was asked, in order."""

    def __init__(self, **options: Any) -> None:
        self.options, self.calls = options, list[tuple[Any, ...]]()
        self._cluster = None
        self.at = 0
        connections.append(self)

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self.calls.append(("poll", timeout_ms))
        if not timeout_ms:
            return {PLACE: [SimpleNamespace(offset=99)]}  # fetched ahead for somebody else
        first, self.at = self.at, 8
        return {PLACE: [stored(offset) for offset in range(first, 8)]}

    def assign(self, places: list[TopicPartition]) -> None:
        self.calls.append(("assign", *places))

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.calls.append(("seek", place, offset))
        self.at = offset

    def position(self, place: TopicPartition) -> int:
        return self.at

    def unsubscribe(self) -> None:
        self.calls.append(("unsubscribe",))

    def close(self) -> None:
        self.calls.append(("close",))

    def beginning_offsets(self, places: list[TopicPartition], timeout_ms: int) -> dict[Any, int]:
        assert timeout_ms == REQUEST_MILLISECONDS
        return {place: 2 + place.partition for place in places if place.partition < 3}

    def end_offsets(self, places: list[TopicPartition], timeout_ms: int) -> dict[Any, int]:
        assert timeout_ms == REQUEST_MILLISECONDS
        return {place: 8 + place.partition for place in places if place.partition < 3}


connections: list[Connection] = []


def stored(offset: int) -> Any:
    return SimpleNamespace(
        topic="t", partition=0, offset=offset, timestamp=1000 + offset, key=b"k", value=b"v",
        headers=[("kind", b"batch"), ("none", None)],
    )  # fmt: skip


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> KafkaReader:
    connections.clear()
    monkeypatch.setattr(log_reader, "KafkaConsumer", Connection)
    monkeypatch.setattr(log_reader, "hurried", lambda _: None)
    return KafkaReader("localhost:9")


def test_records_are_read_from_where_they_are_asked_for(reader: KafkaReader) -> None:
    found = list(reader.records(PLACE, 5, 7))
    headers = (("kind", b"batch"), ("none", b""))
    assert found == [
        StoredRecord("t", 0, offset, 1000 + offset, b"k", b"v", headers) for offset in (5, 6)
    ]
    (connection,) = connections
    assert connection.calls == [
        ("poll", 0), ("assign", PLACE), ("seek", PLACE, 5), ("poll", POLL_MILLISECONDS),
        ("unsubscribe",),
    ]  # fmt: skip


def test_a_read_that_is_broken_off_leaves_its_connection_to_the_next(reader: KafkaReader) -> None:
    reading = iter(reader.records(PLACE, 5, 7))
    assert next(reading).offset == 5
    reading.close()  # type: ignore[attr-defined]
    assert connections[0].calls[-1] == ("unsubscribe",)
    list(reader.records(PLACE, 6, 7))
    assert len(connections) == 1


def test_bounds_are_those_of_every_partition(reader: KafkaReader) -> None:
    assert reader.starts("t", 3) == {0: 2, 1: 3, 2: 4}
    assert reader.ends("t", 3) == {0: 8, 1: 9, 2: 10}
    assert reader.bounds(TopicPartition("t", 2)) == (4, 10)
    assert len(connections) == 1


def test_a_partition_that_the_broker_leaves_out_is_unknown(reader: KafkaReader) -> None:
    for ask in (reader.starts, reader.ends):
        with pytest.raises(UnknownTopicOrPartitionError):
            ask("t", 4)
    assert all(one.calls[-1] == ("close",) for one in connections)


def test_a_reader_makes_no_topics_and_belongs_to_no_group(reader: KafkaReader) -> None:
    reader.starts("t", 1)
    options = connections[0].options
    assert options["group_id"] is None
    assert (options["enable_auto_commit"], options["allow_auto_create_topics"]) == (False, False)
    assert options["auto_offset_reset"] == "none"
    reader.forget()
    assert connections[0].calls == [("close",)]
    reader.starts("t", 1)
    assert len(connections) == 2
    reader.close()
    assert connections[1].calls == [("close",)]
