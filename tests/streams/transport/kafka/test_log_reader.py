"""How long a reader of Kafka waits: while something comes, and no longer. No broker is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from streams.transport.kafka.log_reader import POLL_MILLISECONDS, SILENCE_SECONDS, _until

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
