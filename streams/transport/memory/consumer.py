"""The consumer of the embedded broker: a member of a group."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from faust.app import App
from faust.transport.consumer import Consumer, RecordMap
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service

from streams.transport.client import StoredRecord
from streams.transport.faust.contiguous_consumer import ContiguousConsumer
from streams.transport.memory.group import Step

if TYPE_CHECKING:
    from streams.transport.memory.faust_transport import MemoryTransport

CREATE_TIME = 0  # the type of every timestamp here


class _Cluster:
    """What Faust's assignor wants to know of the topics."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = topics

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return the numbers of a topic's partitions."""
        return set(range(self._topics.get(topic, 0)))


class MemoryConsumer(ContiguousConsumer, Consumer):
    """A member of a group on the embedded broker."""

    transport: "MemoryTransport"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._broker = self.transport.broker
        self._group = self.app.conf.id
        self.member = f"{self._group}-{uuid4().hex[:12]}"
        self._generation = -1
        self._topics: frozenset[str] = frozenset()
        self._assignment: set[TP] = set()
        self._positions: dict[TP, int] = {}
        self._woken = asyncio.Event()
        self._records_came = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._wake_fetch = self._waker(self._records_came)
        self._wake_group = self._waker(self._woken)

    def _waker(self, event: asyncio.Event) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if not event.is_set() and not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

        return wake

    # Group

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group for these topics."""
        self._topics = frozenset(topics)
        self._subscribed.set()
        self._woken.set()

    @Service.task
    async def _heartbeat(self) -> None:
        while not self.should_stop:
            await self.sleep(min(1.0, self.app.conf.broker_session_timeout / 5))
            if self.transport.cut:
                continue
            with self._broker.lock:
                group = self._broker.group(self._group)
                if self._broker.faults.heartbeat(self._group, self.member):
                    group.heartbeat(self.member)
                else:
                    group.expire()
            self._woken.set()

    @Service.task
    async def _take_part(self) -> None:
        await self.wait_first(self._subscribed)  # type: ignore[arg-type]
        while not self.should_stop:
            self._woken.clear()
            if self.transport.cut or not await self._step():
                await self.wait_first(self._woken)  # type: ignore[arg-type]

    async def _step(self) -> bool:
        """Do what the group wants of this member; tell whether there was anything to do."""
        with self._broker.lock:
            step = self._broker.group(self._group).next_step(self.member, self._generation)
        if step is Step.JOIN:
            await self._join()
        elif step is Step.LEAD:
            self._lead()
        elif step is Step.TAKE:
            await self._take()
        return step not in (Step.WAIT, Step.STAY)

    async def _join(self) -> None:
        cast(App, self.app).on_rebalance_start()
        await self.on_partitions_revoked(set(self._assignment))
        if self.should_stop or self.transport.cut:
            return
        metadata = self._assignor.metadata(set(self._topics))
        with self._broker.lock:
            self._broker.group(self._group).join(
                self.member, self.app.conf.broker_session_timeout, metadata, self._wake_group
            )

    def _lead(self) -> None:
        with self._broker.lock:
            group = self._broker.group(self._group)
            cluster = _Cluster(self._broker.topics())
            group.assign(self.member, self._assignor.assign(cluster, group.metadata()))

    async def _take(self) -> None:
        with self._broker.lock:
            self._generation, assignment = self._broker.group(self._group).assignment(self.member)
        self._assignor.on_assignment(assignment)
        self._assignment = {TP(topic, p) for topic, ps in assignment.assignment for p in ps}
        self._positions.clear()
        self.app.consumer_generation_id = self._generation
        await self.on_partitions_assigned(set(self._assignment), self._generation)

    @property
    def _assignor(self) -> Any:
        return self.app.assignor

    async def on_stop(self) -> None:
        """Commit and leave the group; the others share our partitions at once."""
        await super().on_stop()
        if not self.transport.cut:
            with self._broker.lock:
                self._broker.group(self._group).leave(self.member)

    # Records

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        active = active_partitions or set()
        records = self._fetch(active)
        if not records and active:
            self._records_came.clear()
            self._broker.wait(((tp.topic, tp.partition) for tp in active), self._wake_fetch)
            records = self._fetch(active)
            if not records:
                await self.wait_first(self._records_came, timeout=timeout)  # type: ignore[arg-type]
                records = self._fetch(active)
        return records

    def _fetch(self, active: set[TP]) -> dict[TP, list[Any]]:
        if not self.flow_active or self.transport.cut:
            return {}
        found: dict[TP, list[Any]] = {}
        for tp in active:
            position = self._positions.get(tp)
            if position is None:
                continue
            records = self._broker.fetch(tp.topic, tp.partition, position, self._limit)
            if records:
                records = self._broker.faults.fetch(records)
            if records:
                self._positions[tp] = records[-1].offset + 1
                found[tp] = records
        return found

    @property
    def _limit(self) -> int:
        return self.app.conf.broker_max_poll_records or 500

    def _to_message(self, tp: TP, record: StoredRecord) -> ConsumerMessage:
        return ConsumerMessage(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp / 1000,
            CREATE_TIME,
            list(record.headers),
            record.key,
            record.value,
            None,
            tp=tp,
            generation_id=self._generation,
        )

    # Offsets

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Return the group's committed offsets."""
        with self._broker.lock:
            offsets = self._broker.group(self._group).offsets
            return {tp: offsets.get((tp.topic, tp.partition)) for tp in tps}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.transport.cut:
            return False
        plain = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        with self._broker.lock:
            if not self._broker.group(self._group).accepts(self.member, self._generation):
                return False
            if self._broker.faults.commit(self._group, plain):
                self._broker.commit(self._group, plain)
        return True

    def assignment(self) -> set[TP]:
        """Return the partitions this member has."""
        return set(self._assignment)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go on at these offsets."""
        self._positions.update(partitions)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go on at the committed offsets."""
        known = await self.committed(self._assignment)
        offsets = {tp: offset for tp, offset in known.items() if offset is not None}
        self._positions.update(offsets)
        return offsets

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is fetched next."""
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        """Return the offset that the next record will get."""
        return self._broker.end_offset(tp.topic, tp.partition)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the ends of the logs."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the starts of the logs."""
        return {tp: self._broker.start_offset(tp.topic, tp.partition) for tp in partitions}

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has."""
        return self._broker.topics().get(topic)

    def key_partition(
        self, topic: str, key: bytes | None, partition: int | None = None
    ) -> int | None:
        """Return the explicit partition; nothing of ours is placed by key."""
        return partition

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: topics are created by our own client."""

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)
