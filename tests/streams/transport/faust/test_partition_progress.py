from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import LostInputError
from streams.transport.faust.partition_progress import PartitionProgress


@dataclass(eq=False)
class Record:
    offset: int


def handed_over(partition: PartitionProgress[Record], count: int) -> list[Record]:
    records = [Record(partition.next_out + n) for n in range(count)]
    for record in records:
        partition.hand_over(record)
    return records


@given(st.permutations(range(8)), st.integers(0, 8))
def test_the_commit_never_passes_the_smallest_unacknowledged(order: list[int], stop: int) -> None:
    partition = PartitionProgress[Record]("t", 100)
    records = handed_over(partition, 8)
    for at in order[:stop]:
        partition.acknowledge(records[at])
    unacknowledged = set(range(8)) - set(order[:stop])
    assert partition.acknowledged == 100 + min(unacknowledged, default=8)


def test_acks_of_another_assignment_do_not_count() -> None:
    records = handed_over(PartitionProgress[Record]("t", 0), 3)
    partition = PartitionProgress[Record]("t", 0)
    again = handed_over(partition, 3)
    assert not any(partition.acknowledge(record) for record in records)
    assert partition.acknowledged == 0
    assert partition.acknowledge(again[0])
    assert partition.acknowledged == 1


def test_only_the_successor_is_next() -> None:
    partition = PartitionProgress[Record]("t", 5)
    records = handed_over(partition, 3)
    assert [partition.is_next(record) for record in records] == [True, False, False]
    partition.next_in += 1
    assert [partition.is_next(record) for record in records] == [False, True, False]


def test_a_seek_voids_what_the_agent_has_queued() -> None:
    partition = PartitionProgress[Record]("t", 5)
    queued = handed_over(partition, 3)
    assert partition.seek_back() == 5
    assert partition.next_out == 5
    assert not any(partition.is_current(record) for record in queued)
    again = handed_over(partition, 3)
    assert partition.is_next(again[0])


def test_records_before_a_seek_can_still_be_acknowledged() -> None:
    partition = PartitionProgress[Record]("t", 0)
    first, _ = handed_over(partition, 2)
    partition.next_in = 1
    partition.seek_back()
    assert partition.acknowledge(first)
    assert partition.acknowledged == 1


def test_a_hole_in_the_log_itself_is_named() -> None:
    partition = PartitionProgress[Record]("t, partition 0", 5)
    for _ in range(10):
        partition.found_hole(9)
    with pytest.raises(LostInputError, match=r"t, partition 0: offset 5 is missing .* at 9"):
        partition.found_hole(9)


def test_holes_that_a_seek_mends_are_forgotten() -> None:
    partition = PartitionProgress[Record]("t", 0)
    for _ in range(100):
        partition.found_hole(partition.next_out + 3)
        handed_over(partition, 1)


def test_ten_seeks_are_tried_before_and_after_a_record_came() -> None:
    partition = PartitionProgress[Record]("t", 0)
    for _ in range(10):
        partition.found_hole(3)
    handed_over(partition, 1)
    for _ in range(10):
        partition.found_hole(3)
    with pytest.raises(LostInputError, match="offset 1 is missing"):
        partition.found_hole(3)
