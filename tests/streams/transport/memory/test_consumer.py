"""A worker's consumer and producer on the embedded broker: faults, commits, positions."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from faust.types import TP

from streams.errors import BrokerError
from streams.transport.client import StoredRecord, TopicSpec
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions, create_app, raw_topic
from streams.transport.memory.broker import Faults, MemoryBroker, broker, forget
from streams.transport.memory.consumer import MemoryConsumer, _Cluster

NAME = "consumed"
FIRST, SECOND, THIRD = TP("t", 0), TP("t", 1), TP("t", 2)


@pytest.fixture(autouse=True)
def here() -> Iterator[MemoryBroker]:
    forget(NAME)
    connect(f"memory://{NAME}").create_topics([TopicSpec("t", 3)])
    yield broker(NAME)
    forget(NAME)


def tried(work: Callable[[Any], Awaitable[None]]) -> None:
    """Do something with an app that has not started."""

    async def run() -> None:
        app = create_app("g", f"memory://{NAME}", options=AppOptions(leave=lambda _: None))
        await work(app)

    asyncio.run(run())


def consumer_of(app: Any) -> MemoryConsumer:
    consumer = app.consumer
    assert isinstance(consumer, MemoryConsumer)
    consumer.flow_active = True
    return consumer


def offsets(found: dict[TP, list[StoredRecord]]) -> dict[int, list[int]]:
    return {tp.partition: [record.offset for record in some] for tp, some in found.items()}


def test_each_partition_is_fetched_from_where_it_stands(here: MemoryBroker) -> None:
    for partition in (0, 1, 1, 2):
        here.append("t", partition, None, b"x")

    async def work(app: Any) -> None:
        consumer = consumer_of(app)
        await consumer.seek_wait({FIRST: 0, THIRD: 0})
        await consumer._seek(SECOND, 1)
        assert offsets(consumer._fetch({FIRST, SECOND})) == {0: [0], 1: [1]}
        assert await consumer.position(SECOND) == 2
        assert consumer._fetch({FIRST, SECOND}) == {}
        here.append("t", 0, None, b"x")
        # A partition that stands nowhere yet keeps the others from nothing.
        assert offsets(consumer._fetch({FIRST, TP("t", 7), THIRD})) == {0: [1], 2: [0]}
        consumer.flow_active = False
        await consumer.seek_wait({FIRST: 0})
        assert consumer._fetch({FIRST}) == {}
        consumer.flow_active = True
        app.transport.cut = True
        assert consumer._fetch({FIRST}) == {}

    tried(work)


class Withholding(Faults):
    """Hands out every second record."""

    asked = 0

    def fetch(self, records: list[StoredRecord]) -> list[StoredRecord]:
        assert records, "nothing is no fetch that could go wrong"
        self.asked += 1
        return records[1::2]


def test_what_is_fetched_goes_through_the_faults(here: MemoryBroker) -> None:
    here.faults = faults = Withholding()
    for _ in range(4):
        here.append("t", 0, None, b"x")
    here.append("t", 1, None, b"x")

    async def work(app: Any) -> None:
        consumer = consumer_of(app)
        await consumer.seek_wait({FIRST: 0, SECOND: 0, THIRD: 0})
        assert offsets(consumer._fetch({FIRST, SECOND, THIRD})) == {0: [1, 3]}
        assert await consumer.position(FIRST) == 4
        assert await consumer.position(SECOND) == 0  # all of it was withheld: asked for again
        assert faults.asked == 2

    tried(work)


class LosingCommits(Faults):
    def commit(self, group: str, offsets: Any) -> bool:
        return False


def test_a_commit_counts_for_members_and_may_be_lost(here: MemoryBroker) -> None:
    async def work(app: Any) -> None:
        consumer = consumer_of(app)
        assert not await consumer._commit({FIRST: 3})
        group = here.group("g")
        group.join(consumer.member, 10.0, None, lambda: None)
        group.assign(consumer.member, {consumer.member: "all"})
        consumer._generation = group.generation
        assert await consumer._commit({FIRST: 3})
        assert here.committed("g", "t") == {0: 3}
        here.faults = LosingCommits()
        assert await consumer._commit({FIRST: 5})  # as its sender believes
        assert here.committed("g", "t") == {0: 3}
        here.faults = Faults()
        consumer._generation -= 1
        assert not await consumer._commit({FIRST: 9})
        consumer._generation += 1
        app.transport.cut = True
        assert not await consumer._commit({FIRST: 9})
        assert await consumer.committed([FIRST, SECOND]) == {FIRST: 3, SECOND: None}

    tried(work)


def test_a_consumer_goes_on_at_what_was_committed(here: MemoryBroker) -> None:
    here.commit("g", {("t", 1): 4, ("t", 2): 0})

    async def work(app: Any) -> None:
        consumer = consumer_of(app)
        consumer._assignment = {FIRST, SECOND, THIRD}
        assert await consumer.seek_to_committed() == {SECOND: 4, THIRD: 0}
        assert [await consumer.position(tp) for tp in (FIRST, SECOND, THIRD)] == [None, 4, 0]

    tried(work)


def test_bounds_are_those_of_the_log(here: MemoryBroker) -> None:
    for _ in range(3):
        here.append("t", 1, None, b"x")
    here.delete_records("t", 1, 2)

    async def work(app: Any) -> None:
        consumer = consumer_of(app)
        assert await consumer.highwaters(FIRST, SECOND) == {FIRST: 0, SECOND: 3}
        assert await consumer.earliest_offsets(FIRST, SECOND) == {FIRST: 0, SECOND: 2}
        assert consumer.topic_partitions("t") == 3
        assert consumer.topic_partitions("u") is None

    tried(work)


def test_a_message_says_what_was_stored(here: MemoryBroker) -> None:
    async def work(app: Any) -> None:
        consumer = consumer_of(app)
        consumer._generation = 5
        stored = StoredRecord("t", 1, 7, 2500, b"k", b"v", (("kind", b"x"),))
        message = consumer._to_message(SECOND, stored)
        assert (message.topic, message.partition, message.offset) == ("t", 1, 7)
        assert (message.timestamp, message.key, message.value) == (2.5, b"k", b"v")
        assert list(message.headers) == [("kind", b"x")]  # type: ignore[arg-type]
        assert (message.tp, message.generation_id) == (SECOND, 5)

    tried(work)


class Confirming(Faults):
    """Confirms as late as it is told to."""

    delay = 0.0

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        if value == b"bad":
            raise BrokerError("refused")

    def confirm(self, record: StoredRecord) -> float:
        return self.delay


def test_a_confirmation_comes_at_once_or_later_or_never(here: MemoryBroker) -> None:
    here.faults = faults = Confirming()

    async def work(app: Any) -> None:
        async def send(value: bytes, partition: int | None = 1) -> Any:
            return await app.producer.send("t", b"k", value, partition, 2.5, {"kind": b"x"}.items())

        at_once = await send(b"a")
        assert at_once.done()
        metadata = at_once.result()
        assert (metadata.topic, metadata.partition, metadata.offset) == ("t", 1, 0)
        assert here.fetch("t", 1, 0) == [
            StoredRecord("t", 1, 0, 2500, b"k", b"a", (("kind", b"x"),))
        ]
        assert (await send(b"a", None)).result().partition == 0
        faults.delay = 0.01
        later = await send(b"b")
        assert not later.done()
        assert (await asyncio.wait_for(later, 10)).offset == 1
        given_up = await send(b"b")
        given_up.cancel()
        faults.delay = math.inf
        never = await send(b"c")
        await asyncio.sleep(0.03)
        assert not never.done()
        assert here.end_offset("t", 1) == 4
        with pytest.raises(BrokerError, match="refused"):
            await (await send(b"bad"))
        app.transport.cut = True
        assert not (await send(b"d")).done()
        assert here.end_offset("t", 1) == 4

    tried(work)


@pytest.mark.parametrize("name", ["Capitals", "a/Path", "with.dots_and-more", "a:1"])
def test_workers_and_clients_of_a_name_meet_at_one_broker(name: str) -> None:
    async def work() -> Any:
        return create_app("worker", f"memory://{name}").transport

    assert asyncio.run(work()).broker is broker(name)
    forget(name)


def test_a_topic_that_is_not_there_has_no_partition_to_assign(here: MemoryBroker) -> None:
    cluster = _Cluster(here.topics())
    assert cluster.partitions_for_topic("t") == {0, 1, 2}
    assert cluster.partitions_for_topic("u") == set()


class Listening(Faults):
    """Hears heartbeats, and lets none of them count."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def heartbeat(self, group: str, member: str) -> bool:
        self.heard.set()
        return False


def test_a_member_says_again_and_again_that_it_is_alive(here: MemoryBroker) -> None:
    async def work(app: Any) -> None:
        here.faults = faults = Listening()

        async def pass_over(stream: Any) -> None:
            async for _ in stream:
                pass

        app.agent(raw_topic(app, "t"), name="pass_over")(pass_over)
        serving = asyncio.ensure_future(app.start())
        for _ in range(2):
            faults.heard.clear()
            await asyncio.wait_for(faults.heard.wait(), 60)
        await app.stop()
        await asyncio.gather(serving, return_exceptions=True)

    tried(work)
