"""What both transports promise, on ``memory://`` and on a real Kafka alike."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from faust.types import TP, EventT

from streams.errors import BrokerError, LostInputError
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions, create_app, raw_topic, serve
from streams.transport.faust.durable_table import durable_table
from streams.transport.faust.group_commit import GroupCommit
from streams.transport.faust.worker_app import WorkerApp
from streams.transport.memory import faust_transport
from streams.transport.memory.broker import forget
from tests.integration.counting import (
    Bucket,
    Counter,
    Names,
    counting_app,
    create_topics,
    expected,
    is_done,
    publish,
    stored,
    totals,
)

LEFT: list[int] = []
OPTIONS = AppOptions(session=3.0, heartbeat=0.5, commit_interval=0.2, leave=LEFT.append)
# Where nobody is to lose a session, however busy the machine is.
STEADY = replace(OPTIONS, session=30.0)
PATIENCE = 60.0


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, prefix: str) -> Iterator[str]:
    if request.param == "kafka":
        yield request.getfixturevalue("kafka_url")
    else:
        yield f"memory://{prefix}"
        forget(prefix)


@pytest.fixture
def client(url: str, prefix: str) -> Iterator[Client]:
    client = connect(url)
    yield client
    client.delete_topics([name for name in client.topics() if name.startswith(prefix)])
    client.close()


@pytest.fixture
def names(prefix: str) -> Names:
    return Names(prefix)


@asynccontextmanager
async def running(*apps: WorkerApp) -> AsyncIterator["asyncio.Task[None]"]:
    """Serve apps while the block runs; a crash is raised at its end."""
    ended = asyncio.Event()
    task = asyncio.create_task(serve(apps, ended.is_set, poll=0.02))
    try:
        yield task
    finally:
        ended.set()
        await task


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to be true of an app."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


async def until_done(client: Client, names: Names) -> None:
    """Wait until the counters have seen the whole source."""
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(is_done, client, names):
            await asyncio.sleep(0.05)


def within(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, with a limit."""
    asyncio.run(asyncio.wait_for(work, 2 * PATIENCE))


@dataclass
class Seen:
    """What an agent without state was given (``delivered``) and has processed (``records``)."""

    delivered: list[int] = field(default_factory=list)
    records: list[tuple[int, int, bytes | None]] = field(default_factory=list)

    def offsets(self, partition: int = 0) -> list[int]:
        return [offset for p, offset, _ in self.records if p == partition]


def watching_app(
    url: str,
    names: Names,
    options: AppOptions = OPTIONS,
    *,
    cause: Callable[[WorkerApp, bytes], Any] | None = None,
) -> tuple[WorkerApp, Seen]:
    """Return an app that notes every record and acknowledges it after what ``cause`` sends."""
    app, seen = create_app(names.group, url, options=options), Seen()

    async def watch(stream: Any) -> None:
        commits = GroupCommit(app, records=8, seconds=0.1)
        async for event in stream.noack().events():
            message = event.message
            seen.delivered.append(message.offset)
            if await app.delivery.admit(message):
                seen.records.append((message.partition, message.offset, message.value))
                futures = [cause(app, message.value or b"")] if cause else []
                await commits.add(event, futures)

    app.agent(raw_topic(app, names.source), name="watch")(watch)
    return app, seen


def send(client: Client, names: Names, partition: int, values: range) -> None:
    with client.sender() as sender:
        for value in values:
            sender.send(names.source, partition, str(value).encode())


# Records


def test_records_arrive_once_and_in_order(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 2)])
    send(client, names, 0, range(500))
    send(client, names, 1, range(300))

    async def work() -> None:
        app, seen = watching_app(url, names)
        async with running(app):
            await until(lambda: len(seen.records) >= 800)
        assert seen.offsets(0) == list(range(500))
        assert seen.offsets(1) == list(range(300))

    within(work())


def test_headers_key_and_value_come_as_they_were_sent(
    url: str, client: Client, names: Names
) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    found = []

    async def work() -> None:
        app = create_app(names.group, url, options=OPTIONS)

        async def look(stream: Any) -> None:
            commits = GroupCommit(app)
            async for event in stream.noack().events():
                message = event.message
                if await app.delivery.admit(message):
                    found.append((message.key, message.value, dict(message.headers or {})))
                    await commits.add(event)

        app.agent(raw_topic(app, names.source), name="look")(look)
        async with running(app):
            sent = (("kind", b"hits"), ("sequence", b"7"))
            await app.send_record(names.source, 0, b"\xff\x00", b"\x00key", sent)
            await app.send_record(names.source, 0, b"", None)
            await until(lambda: len(found) == 2)

    within(work())
    assert found[0] == (b"\x00key", b"\xff\x00", {"kind": b"hits", "sequence": b"7"})
    assert found[1] == (None, b"", {})


def test_sends_keep_their_order(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 1)])

    async def work() -> None:
        app, seen = watching_app(url, names)
        async with running(app):
            sent = [app.send_record(names.source, 0, str(n).encode()) for n in range(2000)]
            stored = await asyncio.gather(*sent)
            await until(lambda: len(seen.records) >= 2000)
        assert [metadata.offset for metadata in stored] == list(range(2000))

    within(work())
    assert [int(r.value or b"") for r in client.read(names.source, 0)] == list(range(2000))


def test_a_record_near_the_limit_goes_through(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 1, max_record_bytes=6 * 2**20)])

    async def work() -> None:
        app, seen = watching_app(url, names)
        async with running(app):
            await app.send_record(names.source, 0, bytes(5 * 2**20))
            await until(lambda: len(seen.records) == 1)
        assert len(seen.records[0][2] or b"") == 5 * 2**20

    within(work())


def test_a_full_queue_does_not_slow_the_rest_down(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(3000))

    async def work() -> None:
        app, seen = watching_app(url, names)
        loop = asyncio.get_running_loop()
        async with running(app):
            await until(lambda: len(seen.records) > 0)
            begun = loop.time()
            await until(lambda: len(seen.records) >= 3000)
            # A second for every full queue of 25, as Faust has it, would be two minutes.
            assert loop.time() - begun < 15

    within(work())


# Acknowledgements


def test_a_slow_agent_gets_records_of_all_its_partitions(
    url: str, client: Client, names: Names
) -> None:
    client.create_topics([TopicSpec(names.source, 3)])
    with client.sender() as sender:
        for number in range(600):
            sender.send(names.source, number % 3, bytes(20_000))

    async def work() -> None:
        app, seen = create_app(names.group, url, options=OPTIONS), list[int]()

        async def slow(stream: Any) -> None:
            async for event in stream.noack().events():
                if await app.delivery.admit(event.message):
                    await asyncio.sleep(0.004)
                    seen.append(event.message.partition)
                    event.ack()

        app.agent(raw_topic(app, names.source), name="slow")(slow)
        async with running(app):
            await until(lambda: len(seen) == 600)
        # What a fetch brings and what the queue holds may come first, but not a whole partition.
        for partition in range(3):
            assert seen[:450].count(partition) > 50

    within(work())


def test_acknowledged_records_do_not_come_again(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(100))

    async def work() -> None:
        app, seen = watching_app(url, names)
        async with running(app):
            await until(lambda: len(seen.records) >= 100)
        assert client.committed(names.group, names.source) == {0: 100}
        send(client, names, 0, range(100, 110))
        app, seen = watching_app(url, names)
        async with running(app):
            await until(lambda: len(seen.records) >= 10)
        assert seen.offsets() == list(range(100, 110))

    within(work())


def test_nothing_is_committed_past_an_unacknowledged_record(
    url: str, client: Client, names: Names
) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(20))

    async def work() -> None:
        app = create_app(names.group, url, options=OPTIONS)
        kept = []

        async def hold(stream: Any) -> None:
            async for event in stream.noack().events():
                if await app.delivery.admit(event.message):
                    kept.append(event)
                    if event.message.offset not in (0, 7):
                        event.ack()

        app.agent(raw_topic(app, names.source), name="hold")(hold)
        async with running(app):
            await until(lambda: len(kept) == 20)
            await app.consumer.commit()
            assert client.committed(names.group, names.source).get(0, 0) == 0
            kept[0].ack()
            await app.consumer.commit()
            assert client.committed(names.group, names.source) == {0: 7}
            kept[7].ack()

    within(work())
    assert client.committed(names.group, names.source) == {0: 20}


def test_an_ack_of_an_earlier_assignment_is_ignored(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(4))

    async def work() -> None:
        app = create_app(names.group, url, options=OPTIONS)
        early: list[EventT[bytes]] = []
        late: list[EventT[bytes]] = []

        async def hold(stream: Any) -> None:
            async for event in stream.noack().events():
                if await app.delivery.admit(event.message):
                    (early if len(early) < 4 else late).append(event)

        app.agent(raw_topic(app, names.source), name="hold")(hold)
        async with running(app):
            await until(lambda: len(early) == 4)
            await app.consumer.perform_seek()
            for event in early:
                event.ack()
            await until(lambda: len(late) == 4)
            await app.consumer.commit()
            assert client.committed(names.group, names.source).get(0, 0) == 0
            for event in late:
                event.ack()

    within(work())
    assert client.committed(names.group, names.source) == {0: 4}


def test_a_failed_send_ends_the_worker_and_acknowledges_nothing(
    url: str, client: Client, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    small = TopicSpec(f"{names.prefix}-small", 1, max_record_bytes=1000)
    client.create_topics([TopicSpec(names.source, 1), small])
    send(client, names, 0, range(30))
    left: list[int] = []

    def cause(app: WorkerApp, value: bytes) -> Any:
        return app.send_record(small.name, 0, bytes(5000 if value == b"10" else 10))

    async def work() -> None:
        app, _ = watching_app(url, names, AppOptions(leave=left.append), cause=cause)
        with pytest.raises(BrokerError, match=r"a record of 5000 bytes for topic .*-small"):
            async with running(app) as served:
                await asyncio.wait({served}, timeout=PATIENCE)

    with caplog.at_level(logging.CRITICAL):
        within(work())
    assert left == [1]
    assert client.committed(names.group, names.source).get(0, 0) <= 10
    assert len([r for r in caplog.records if "nothing later is acknowledged" in r.message]) == 1


# Contiguous delivery


def test_records_lost_or_doubled_before_the_agent_reach_it_once_and_in_order(
    url: str, client: Client, names: Names
) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(1000))

    async def work() -> None:
        app, seen = watching_app(url, names)
        async with running(app):
            for ahead, jump in ((100, 150), (400, -50), (700, 150)):
                await until(lambda ahead=ahead: len(seen.records) >= ahead)  # type: ignore[misc]
                # As a suspended flow does: the position is past records that were not handed over.
                position = min(len(seen.records) + jump, 990)
                await app.delivery._seek(TP(names.source, 0), position)
            await until(lambda: len(seen.records) >= 1000)
        assert seen.offsets() == seen.delivered == list(range(1000))

    within(work())
    assert client.committed(names.group, names.source) == {0: 1000}


def test_an_agent_that_misses_a_record_gets_it_again(
    url: str, client: Client, names: Names
) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(200))

    async def work() -> None:
        app, seen = watching_app(url, names)
        async with running(app):
            await until(lambda: len(seen.records) > 0)
            # A queue that was cleared: handed over, yet never taken.
            app.flow_control.clear()
            send(client, names, 0, range(200, 210))
            await until(lambda: len(seen.records) >= 210)
        assert seen.offsets() == list(range(210))

    within(work())


# State


def test_a_table_is_recovered_by_the_next_worker(url: str, client: Client, names: Names) -> None:
    create_topics(client, names, 3)
    publish(client, names, 3, range(300))

    async def work() -> None:
        app, _ = counting_app(url, names, 3, OPTIONS)
        async with running(app):
            await until_done(client, names)
        app, counter = counting_app(url, names, 3, OPTIONS)
        async with running(app):
            await until(lambda: counter.assignments > 0 and not app.rebalancing)
            assert counter.states == stored(client, names)
            assert {key for p in range(3) for key, _ in counter.table.owned(p)} == {
                f"{p}/{b}".encode() for p in range(3) for b in range(2)
            }

    within(work())
    assert totals(client, names) == expected(3, range(300))


def test_flushes_that_are_far_apart_keep_nobody_waiting(
    url: str, client: Client, names: Names
) -> None:
    """A rebalance and a stop have everything flushed, far more records than a queue holds."""
    create_topics(client, names, 4)
    rare: dict[str, Any] = {"records": 10**6, "seconds": 1000.0}

    async def work() -> None:
        one_app, one = counting_app(url, names, 4, STEADY, **rare)
        async with running(one_app):
            publish(client, names, 4, range(400))
            await until(lambda: sum(state.count for state in one.states.values()) == 400)
            assert stored(client, names) == {}
            two_app, two = counting_app(url, names, 4, STEADY, **rare)
            async with running(two_app):
                await until(lambda: len(one.states) == len(two.states) == 4)
                assert totals(client, names) == expected(4, range(400))
                publish(client, names, 4, range(400, 800))
                states = (one.states, two.states)
                await until(lambda: sum(b.count for s in states for b in s.values()) == 800)
                assert totals(client, names) == expected(4, range(400))
        assert totals(client, names) == expected(4, range(800))

    within(work())


@dataclass
class Looking:
    """A counter's start positions that keep what each assignment began with."""

    counter: Counter
    begun_with: list[dict[tuple[int, int], Bucket]] = field(default_factory=list)

    def assigned(self) -> None:
        self.counter.assigned()
        self.begun_with.append(dict(self.counter.states))

    def start(self, tp: TP) -> int:
        return self.counter.start(tp)


def looking(app: WorkerApp, counter: Counter) -> Looking:
    app.positions = positions = Looking(counter)
    return positions


def test_a_table_holds_its_whole_changelog_after_every_rebalance(
    url: str, client: Client, names: Names
) -> None:
    create_topics(client, names, 4)

    async def work() -> None:
        app, counter = counting_app(url, names, 4, OPTIONS)
        one = looking(app, counter)
        async with running(app):
            for _ in range(3):
                publish(client, names, 4, range(40))
                await until_done(client, names)
                await share(one)
                await until(lambda: len(counter.states) == 8)
                assert one.begun_with[-1] == stored(client, names)

    async def share(one: Looking) -> None:
        """Have a second worker take half of the partitions, and work on it."""
        app, counter = counting_app(url, names, 4, OPTIONS)
        two = looking(app, counter)
        async with running(app):
            await until(lambda: len(one.counter.states) == len(counter.states) == 4)
            assert one.begun_with[-1] | two.begun_with[-1] == stored(client, names)
            publish(client, names, 4, range(40, 80))
            await until_done(client, names)

    within(work())


def test_a_counter_starts_where_its_state_is_whatever_was_committed(
    url: str, client: Client, names: Names
) -> None:
    create_topics(client, names, 2)
    publish(client, names, 2, range(100))
    client.rewind(names.group, {(names.source, 0): 50, (names.source, 1): 50})

    async def work() -> None:
        app, _ = counting_app(url, names, 2, OPTIONS)
        async with running(app):
            await until_done(client, names)

    within(work())
    assert totals(client, names) == expected(2, range(100))


def test_input_that_the_state_needs_but_the_log_lacks_is_named(
    url: str, client: Client, names: Names
) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(10))
    client.rewind(names.group, {(names.source, 0): 20})

    async def work() -> None:
        app, _ = watching_app(url, names)
        with pytest.raises(LostInputError, match="offset 20 is needed, but the log holds 0 to 10"):
            async with running(app) as served:
                await asyncio.wait({served}, timeout=PATIENCE)

    within(work())


def test_a_table_takes_writes_outside_events_only_through_put(
    url: str, client: Client, names: Names
) -> None:
    changelog = TopicSpec(f"{names.group}-facts-changelog", 1, compacted=True)
    client.create_topics([TopicSpec(names.source, 1), changelog])

    async def work() -> None:
        app, _ = watching_app(url, names)
        table = durable_table(app, "facts", 1)
        async with running(app):
            await until(lambda: app.tables.actives_ready)
            await table.put(b"0/a", b"1", 0)
            await table.put(b"0/a", b"2", 0)
            with pytest.raises(TypeError):
                table[b"0/b"] = b"3"
            assert table[b"0/a"] == b"2"
            assert list(table.owned(0)) == [(b"0/a", b"2")]

    within(work())
    assert [r.value for r in client.read(changelog.name, 0)][-1] == b"2"


# Several workers


def test_two_workers_share_partitions_and_hand_them_over(
    url: str, client: Client, names: Names
) -> None:
    create_topics(client, names, 4)
    publish(client, names, 4, range(400))

    async def work() -> None:
        first, one = counting_app(url, names, 4, OPTIONS)
        async with running(first):
            await until(lambda: len(one.states) == 8)
            second, two = counting_app(url, names, 4, OPTIONS)
            async with running(second):
                await until(lambda: len(one.states) == len(two.states) == 4)
                assert not one.states.keys() & two.states.keys()
                publish(client, names, 4, range(400, 800))
                await until_done(client, names)
            await until(lambda: len(one.states) == 8)
            publish(client, names, 4, range(800, 1000))
            await until_done(client, names)

    within(work())
    assert totals(client, names) == expected(4, range(1000))


def test_a_stop_in_a_rebalance_commits_and_ends(url: str, client: Client, names: Names) -> None:
    client.create_topics([TopicSpec(names.source, 1)])
    send(client, names, 0, range(4))

    async def work() -> None:
        first = create_app(names.group, url, options=STEADY)
        held: list[EventT[bytes]] = []

        async def hold(stream: Any) -> None:
            async for event in stream.noack().events():
                if await first.delivery.admit(event.message):
                    held.append(event)

        first.agent(raw_topic(first, names.source), name="hold")(hold)
        ended = asyncio.Event()
        stop = asyncio.create_task(serve((first,), ended.is_set, poll=0.02))
        await until(lambda: len(held) == 4)
        before = first.rebalancing_count
        ended.set()
        await until(lambda: first.should_stop)
        second, seen = watching_app(url, names, STEADY)
        async with running(second):
            await until(lambda: first.rebalancing_count > before)
            # So that what the rebalance asks of the first worker is under way.
            await asyncio.sleep(0.5)
            for event in held:
                event.ack()
            async with asyncio.timeout(PATIENCE):
                await stop
            send(client, names, 0, range(4, 8))
            await until(lambda: len(seen.offsets()) == 4)
        assert seen.offsets() == [4, 5, 6, 7]

    within(work())


def test_counts_are_exact_when_workers_are_killed_and_come_back(
    url: str, client: Client, names: Names
) -> None:
    create_topics(client, names, 4)
    killable = LocalWorkers(url, names) if url.startswith("memory") else Processes(url, names)

    async def work() -> None:
        numbers = range(8000)
        try:
            await killable.start("one")
            await killable.start("two")
            for part in range(8):
                publish(client, names, 4, numbers[part * 1000 : (part + 1) * 1000])
                await asyncio.sleep(0.3 + 0.17 * part)
                victim = "one" if part % 2 else "two"
                await killable.kill(victim)
                await asyncio.sleep(0.2 * (part % 3))
                await killable.start(victim)
            await until_done(client, names)
        finally:
            await killable.end()

    within(work())
    assert totals(client, names) == expected(4, range(8000))


@pytest.mark.kafka
def test_a_zombie_that_comes_back_changes_nothing(kafka_url: str, names: Names) -> None:
    client = connect(kafka_url)
    create_topics(client, names, 4)
    workers = Processes(kafka_url, names)
    numbers = range(4000)

    async def work() -> None:
        try:
            await workers.start("one")
            await workers.start("two")
            for part in range(4):
                publish(client, names, 4, numbers[part * 1000 : (part + 1) * 1000])
                zombie = workers.running["one" if part % 2 else "two"]
                await asyncio.sleep(0.1 * part)
                zombie.send_signal(signal.SIGSTOP)
                await asyncio.sleep(5.0)
                zombie.send_signal(signal.SIGCONT)
            await until_done(client, names)
        finally:
            await workers.end()

    within(work())
    assert totals(client, names) == expected(4, numbers)
    client.delete_topics([names.source, names.changelog])
    client.close()


@dataclass
class LocalWorkers:
    """Workers in this event loop."""

    url: str
    names: Names
    apps: dict[str, WorkerApp] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        options = AppOptions(session=1.0, heartbeat=0.3, commit_interval=0.2)
        self.apps[name], _ = counting_app(self.url, self.names, 4, options)
        await self.apps[name].start()

    async def kill(self, name: str) -> None:
        await faust_transport.kill(self.apps.pop(name))

    async def end(self) -> None:
        for app in self.apps.values():
            await app.stop()


@dataclass
class Processes:
    """Workers in processes of their own, ended by kill -9."""

    url: str
    names: Names
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        program = [sys.executable, "-m", "tests.integration.counting"]
        arguments = [self.url, self.names.prefix, "4", f"{self.names.prefix}-{name}", "3"]
        self.running[name] = subprocess.Popen([*program, *arguments])
        await asyncio.sleep(2.0)

    async def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    async def end(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(timeout=30)
