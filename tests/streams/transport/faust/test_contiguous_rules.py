"""Each rule of our consumer by itself, above a stand-in for Faust's."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from streams.errors import LostInputError
from streams.transport.faust.contiguous_consumer import ContiguousConsumer
from streams.transport.faust.partition_progress import PartitionProgress

FIRST, SECOND, CHANGELOG = TP("numbers", 0), TP("numbers", 1), TP("state-changelog", 0)


@dataclass(eq=False)
class Message:
    tp: TP
    offset: int
    acked: bool = False


class Below:
    """What Faust's consumer has and ours calls."""

    consumer_stopped_errors = (ConnectionError,)

    def __init__(self) -> None:
        self.app: Any = SimpleNamespace(positions=None, should_stop=False)
        self.scheduler = DefaultSchedulingStrategy()  # type: ignore[abstract]
        self.should_stop = False
        self.flow_active = True
        self.can_resume_flow = asyncio.Event()
        self._unacked_messages: set[Message] = set()
        self._waiting_for_ack: asyncio.Future[bool] | None = None
        self._committed_offset: dict[TP, int | None] = {}
        self.assigned_tps = {FIRST, SECOND, CHANGELOG}
        self.active = {FIRST, SECOND}
        self.group: dict[TP, int | None] = {FIRST: None, SECOND: None}
        self.fetched: list[dict[TP, list[int]]] = []
        self.asked: list[tuple[set[TP], float]] = []
        self.sought: list[tuple[TP, int]] = []
        self.heard: list[str] = []
        self.refuses_commits = False
        self.first = 3

    def assignment(self) -> set[TP]:
        return self.assigned_tps

    def _is_changelog_tp(self, tp: TP) -> bool:
        return tp == CHANGELOG

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        self.heard.append("committed")
        return {tp: self.group[tp] for tp in tps}

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self.first)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 50)

    async def seek_wait(self, starts: Mapping[TP, int]) -> None:
        self.sought += sorted(starts.items())

    async def _seek(self, tp: TP, offset: int) -> None:
        self.sought.append((tp, offset))

    def _get_active_partitions(self) -> set[TP]:
        return self.active

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> Any:
        self.asked.append((active_partitions, timeout))
        offsets = self.fetched.pop(0) if self.fetched else {}
        return {tp: [Message(tp, offset) for offset in found] for tp, found in offsets.items()}

    def _to_message(self, tp: TP, record: Message) -> Message:
        return record

    async def wait(self, event: asyncio.Event) -> None:
        await event.wait()

    async def wait_first(self, event: asyncio.Event, timeout: float) -> None:
        await asyncio.wait_for(event.wait(), timeout)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        self.active |= set(tps)

    async def wait_empty(self) -> None:
        self.heard.append("wait_empty")

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new: bool = True) -> bool:
        self._committed_offset.update(offsets)
        return not self.refuses_commits

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        raise AssertionError("a hole was booked as acknowledged")


class Consumer(ContiguousConsumer, Below):  # type: ignore[misc,override]
    committed = Below.committed


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def consumer(start: int = 0, **fetched: list[int]) -> Any:
    """Return a consumer of ``numbers`` that stands at ``start`` and has fetched offsets."""
    made: Any = Consumer()  # type: ignore[abstract]
    made._sources = {
        tp: PartitionProgress(f"numbers/{tp.partition}", start) for tp in (FIRST, SECOND)
    }
    if fetched:
        made.fetched = [{FIRST: fetched.get("first", []), SECOND: fetched.get("second", [])}]
    return made


async def delivered(given: Any) -> list[Message]:
    return [message async for _, message in given.getmany(1.0)]


def offsets(messages: list[Message], tp: TP = FIRST) -> list[int]:
    return [message.offset for message in messages if message.tp == tp]


# Delivery


def test_behind_a_hole_nothing_is_delivered_and_the_partition_is_sought_once() -> None:
    async def work() -> None:
        given = consumer(first=[0, 1, *range(3, 40)], second=[0, 1, 2])
        messages = await delivered(given)
        assert offsets(messages) == [0, 1]
        assert offsets(messages, SECOND) == [0, 1, 2]
        assert given.sought == [(FIRST, 2)]

    run(work())


def test_what_was_delivered_is_not_delivered_again() -> None:
    async def work() -> None:
        given = consumer(5, first=[3, 4, 5, 5, 6])
        assert offsets(await delivered(given)) == [5, 6]
        given.fetched = [{FIRST: [5, 6, 7]}]
        assert offsets(await delivered(given)) == [7]
        assert given.sought == []

    run(work())


def test_a_partition_that_is_not_ours_is_not_delivered() -> None:
    async def work() -> None:
        given = consumer(first=[0])
        del given._sources[FIRST]
        assert await delivered(given) == []

    run(work())


def test_a_hole_that_stays_is_named() -> None:
    async def work() -> None:
        given = consumer()
        for _ in range(10):
            given.fetched = [{FIRST: [4]}]
            assert await delivered(given) == []
        given.fetched = [{FIRST: [4]}]
        with pytest.raises(LostInputError, match="offset 0 is missing"):
            await delivered(given)

    run(work())


@pytest.mark.parametrize("event", ["another assignment", "flow stops", "consumer stops"])
def test_what_was_fetched_before_an_event_is_not_delivered_after_it(event: str) -> None:
    async def work() -> None:
        given = consumer(first=[0, 1])
        records = given.getmany(1.0)
        await anext(records)
        if event == "another assignment":
            given._sources = {FIRST: PartitionProgress("numbers/0", 0)}
        elif event == "flow stops":
            given.flow_active = False
        else:
            given.should_stop = True
        with pytest.raises(StopAsyncIteration):
            await anext(records)

    run(work())


def test_a_hole_is_never_booked_as_acknowledged() -> None:
    async def work() -> None:
        given = consumer()
        await given._add_gap(FIRST, 0, 5)
        assert given._new_offset(FIRST) == 0

    run(work())


def test_nothing_is_fetched_while_the_flow_is_suspended() -> None:
    async def work() -> None:
        given = consumer(first=[0])
        given.flow_active = False
        fetching = asyncio.ensure_future(given._wait_next_records(1.0))
        await asyncio.sleep(0.02)
        assert given.asked == []
        given.can_resume_flow.set()
        await fetching
        assert given.asked == [({FIRST, SECOND}, 1.0)]

    run(work())


def test_a_partition_that_is_paused_no_longer_is_fetched_at_once() -> None:
    async def work() -> None:
        given = consumer()
        given.active.clear()
        waiting = asyncio.ensure_future(given._wait_next_records(30.0))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        given.resume_partitions({FIRST})
        assert await asyncio.wait_for(waiting, 2) == ({}, {FIRST})

    run(work())


def test_records_go_to_the_agent_one_after_the_other_until_the_fetcher_stops() -> None:
    async def work() -> None:
        given, fetcher = consumer(first=[0, 1, 2]), SimpleNamespace(should_stop=False)
        taken: list[int] = []

        async def callback(message: Message) -> None:
            await asyncio.sleep(0.01 if message.offset == 0 else 0)
            taken.append(message.offset)
            fetcher.should_stop = message.offset == 2

        given.callback = callback
        await given._drain_messages(fetcher)
        assert taken == [0, 1, 2]

    run(work())


# The start of an assignment


class Positions:
    def __init__(self, given: Any, starts: dict[TP, int | None]) -> None:
        self.given, self.starts = given, starts

    def assigned(self) -> None:
        assert self.given._sources == {}, "records of the assignment before may still be admitted"
        self.given.heard.append("assigned")

    def start(self, tp: TP) -> int | None:
        self.given.heard.append("start")
        return self.starts[tp]


def test_a_partition_starts_where_its_state_is_else_at_its_commit_else_at_the_first() -> None:
    async def work() -> None:
        given = consumer()
        given.first = 0
        given.group = {FIRST: 20, SECOND: 20}
        given.app.positions = Positions(given, {FIRST: 7, SECOND: None})
        await given.perform_seek()
        assert given.heard == ["assigned", "committed", "start", "start"]
        assert given.sought == [(FIRST, 7), (SECOND, 20)]
        given.group[SECOND] = None
        await given.perform_seek()
        assert given.sought[2:] == [(FIRST, 7), (SECOND, 0)]
        assert {tp: s.next_out for tp, s in given._sources.items()} == {FIRST: 7, SECOND: 0}
        assert [given.next_offset(tp) for tp in (FIRST, SECOND)] == [7, 0]

    run(work())


def test_without_state_a_partition_starts_at_its_commit() -> None:
    async def work() -> None:
        given = consumer()
        given.group = {FIRST: 20, SECOND: 3}
        await given.perform_seek()
        assert given.sought == [(FIRST, 20), (SECOND, 3)]

    run(work())


def test_a_log_whose_beginning_was_deleted_before_anybody_read_it_is_named() -> None:
    async def work() -> None:
        given = consumer()
        given.group = {FIRST: 20, SECOND: None}
        with pytest.raises(LostInputError, match=r"offset 0 is needed.* begins at offset 3") as at:
            await given.perform_seek()
        assert at.value.for_good
        assert given.next_offset(SECOND) is None

    run(work())


@pytest.mark.parametrize("start", [2, 51])
def test_a_start_that_the_log_does_not_hold_is_named_before_anything_is_read(start: int) -> None:
    async def work() -> None:
        given = consumer()
        given.app.positions = Positions(given, {FIRST: start, SECOND: 3})
        with pytest.raises(LostInputError, match=f"offset {start} is needed") as caught:
            await given.perform_seek()
        assert caught.value.for_good == (start == 2)  # a log that is too short may be another one
        assert given.sought == []
        assert given._sources == {}

    run(work())


def test_an_assignment_forgets_commits_of_the_one_before() -> None:
    async def work() -> None:
        given = consumer()
        given.first = 0
        given.group = {FIRST: 20, SECOND: None}
        given._committed_offset = {FIRST: 44, SECOND: 44}
        await given.perform_seek()
        assert given._committed_offset == {FIRST: 20, SECOND: None}

    run(work())


def test_a_worker_without_partitions_starts_too() -> None:
    async def work() -> None:
        given = consumer()
        given.assigned_tps = {CHANGELOG}
        given.app.positions = Positions(given, {})
        await given.perform_seek()
        assert given.heard == ["assigned"]
        assert given.sought == []

    run(work())


# What agents ask


def test_only_the_next_record_is_admitted_and_what_is_missing_is_sought() -> None:
    async def work() -> None:
        given = consumer(first=[0, 1, 2])
        zero, _, two = await delivered(given)
        assert await given.admit(zero)
        assert not await given.admit(two)
        assert given.sought == [(FIRST, 1)]
        given.fetched = [{FIRST: [1, 2]}]
        again = await delivered(given)
        assert [await given.admit(message) for message in again] == [True, True]

    run(work())


def test_a_record_of_before_a_seek_or_an_assignment_is_not_admitted_and_seeks_nothing() -> None:
    async def work() -> None:
        given = consumer(first=[0, 1, 2, 3])
        zero, one, two, three = await delivered(given)
        assert await given.admit(zero)
        assert not await given.admit(two)
        assert given.sought == [(FIRST, 1)]
        # Both were void with the seek; seeking again would deliver everything behind it again.
        assert not await given.admit(three)
        assert not await given.admit(one)
        assert given.sought == [(FIRST, 1)]
        given._sources = {FIRST: PartitionProgress("numbers/0", 1)}
        assert not await given.admit(one)
        assert given.sought == [(FIRST, 1)]

    run(work())


def test_a_worker_that_ends_admits_nothing_more_and_acknowledges_what_it_had() -> None:
    async def work() -> None:
        given = consumer(first=[0, 1, 2])
        first, second, third = await delivered(given)
        assert await given.admit(first)
        given.admit_nothing()
        given._unacked_messages = {first, second}
        assert not await given.admit(second)
        assert not await given.admit(third)
        assert (given._unacked_messages, given.sought) == ({first}, [])
        assert given.ack(first)
        assert given._new_offset(FIRST) == 1

    run(work())


def test_a_record_is_ours_in_the_assignment_that_handed_it_over() -> None:
    async def work() -> None:
        given = consumer(first=[0])
        (record,) = await delivered(given)
        await given.admit(record)
        await given.seek_back(FIRST)
        assert given.is_ours(record)
        given._sources[FIRST] = PartitionProgress("numbers/0", 0)
        assert not given.is_ours(record)
        given._sources = {}
        assert not given.is_ours(record)

    run(work())


def test_a_rebalance_does_not_wait_for_a_record_that_is_not_admitted() -> None:
    async def work() -> None:
        given = consumer(first=[0, 1])
        _, one = await delivered(given)
        given._unacked_messages = {one}
        given._waiting_for_ack = asyncio.get_running_loop().create_future()
        await given.admit(one)
        assert one.acked
        assert not given._unacked_messages
        assert given._waiting_for_ack.done()
        assert given._new_offset(FIRST) == 0

    run(work())


# Acknowledging


def test_an_ack_counts_once_and_lets_a_rebalance_go_on() -> None:
    async def work() -> None:
        given = consumer(first=[0, 1])
        zero, _ = await delivered(given)
        given._unacked_messages = {zero}
        given._waiting_for_ack = asyncio.get_running_loop().create_future()
        assert given.ack(zero)
        assert not given.ack(zero)
        assert zero.acked
        assert not given._unacked_messages
        assert given._waiting_for_ack.done()
        assert given._new_offset(FIRST) == 1

    run(work())


def test_an_ack_of_an_earlier_assignment_lets_a_rebalance_go_on_and_counts_for_nothing() -> None:
    async def work() -> None:
        given = consumer(first=[0])
        (zero,) = await delivered(given)
        given._unacked_messages = {zero}
        given._sources = {FIRST: PartitionProgress("numbers/0", 0)}
        assert not given.ack(zero)
        assert not given._unacked_messages
        assert given._new_offset(FIRST) == 0

    run(work())


def test_a_worker_that_failed_waits_for_no_acknowledgement() -> None:
    async def work() -> None:
        given = consumer(first=[0])
        given._unacked_messages = set(await delivered(given))
        await given.wait_empty()
        assert given.heard == ["wait_empty"]
        given.abandon()
        await given.wait_empty()
        assert given.heard == ["wait_empty"]
        assert not given._unacked_messages

    run(work())


def test_offsets_are_asked_for_every_partition_of_the_assignment_and_the_named_ones() -> None:
    given = consumer()
    assert set(given._filter_tps_with_pending_acks()) == {FIRST, SECOND}
    assert set(given._filter_tps_with_pending_acks({SECOND})) == {SECOND}
    assert set(given._filter_tps_with_pending_acks({"numbers"})) == {FIRST, SECOND}
    assert set(given._filter_tps_with_pending_acks({"others"})) == set()


def test_a_commit_that_was_refused_is_made_again() -> None:
    async def work() -> None:
        given = consumer()
        given._committed_offset = {FIRST: 4}
        given.refuses_commits = True
        assert not await given._commit_offsets({FIRST: 9})
        assert given._committed_offset == {FIRST: 4}
        given.refuses_commits = False
        assert await given._commit_offsets({FIRST: 9})
        assert given._committed_offset == {FIRST: 9}

    run(work())
