"""Contiguous delivery and the start offset: what our consumers do differently from Faust's.

A comment that begins with "Faust" names what 0.15.3 does and results were lost by.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from faust.transport.consumer import Consumer, RecordMap
from faust.types import TP, Message
from faust.types.transports import TPorTopicSet
from mode import ServiceT
from mode.utils.futures import notify

from streams.errors import LostInputError
from streams.lost_input import deleted
from streams.transport.faust.partition_progress import PartitionProgress

if TYPE_CHECKING:
    _Base = Consumer
else:
    _Base = object


class StartPositions(Protocol):
    """Where an app's source partitions start, asked once per assignment."""

    def assigned(self) -> None:
        """Drop what was not flushed, read the table anew: it is recovered, no record came yet."""

    def start(self, tp: TP) -> int | None:
        """Return the first offset to deliver; None: the committed one, else 0."""


class _Positioned(Protocol):
    """An app that says where its source partitions start."""

    positions: StartPositions | None


class ContiguousConsumer(_Base):
    """Mixin before a Faust consumer: contiguous delivery, start positions, honest commits.

    It expects source topics whose offsets have no holes: not compacted, no transactions. Agents
    iterate ``stream.noack().events()`` and ask ``admit`` about every record, without awaiting
    anything between the answer and the change of their state.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._selectable = asyncio.Event()
        self._sources: dict[TP, PartitionProgress[Message]] = {}
        self._abandoned = False
        self._admitting = True

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Return the group's committed offsets."""
        raise NotImplementedError

    # The start of an assignment

    async def perform_seek(self) -> None:
        """Begin the assignment: every source partition at the position its state needs."""
        self._sources = {}
        positions = cast(_Positioned, self.app).positions
        tps = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        if positions is not None:
            positions.assigned()
        if not tps:
            return
        committed, first, end = await asyncio.gather(
            self.committed(tps), self.earliest_offsets(*tps), self.highwaters(*tps)
        )
        starts = {}
        for tp in tps:
            wanted = positions.start(tp) if positions is not None else None
            wanted = committed.get(tp) if wanted is None else wanted
            # Not where the log begins: what was deleted before anybody read it is missing, too.
            starts[tp] = 0 if wanted is None else wanted
            _check_log(tp, starts[tp], first[tp], end[tp])
        await self.seek_wait(starts)
        for tp, offset in starts.items():
            # Faust forgets its commits at a revoke and then commits whatever it finds acked.
            self._committed_offset[tp] = committed.get(tp)
            self._sources[tp] = PartitionProgress(_name(tp), offset)

    # Delivery

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield the next expected record of each partition, and no other.

        Faust drops fetched records when the flow stops, goes on behind them and counts the hole
        as acknowledged.
        """
        records, _ = await self._wait_next_records(timeout)
        sources, sought = self._sources, set()
        for tp, record in self.scheduler.iterate(records or {}):
            if self.should_stop or not self.flow_active or sources is not self._sources:
                return
            source = sources.get(tp)
            if source is None or tp in sought or record.offset < source.next_out:
                continue
            if record.offset > source.next_out:
                source.found_hole(record.offset)
                sought.add(tp)
                await self._seek(tp, source.next_out)
                continue
            message = self._to_message(tp, record)
            source.hand_over(message)
            yield tp, message

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: Faust books holes in the delivery as acknowledged."""

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Hand records over until the fetcher stops; Faust makes four tasks for each record.

        It does so to leave a full queue when the flow is suspended, but a rebalance clears the
        queues, and that cancels whoever waits for room.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for _, message in self.getmany(timeout=1.0):
                    await self.callback(message)
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _wait_next_records(self, timeout: float) -> tuple[RecordMap | None, set[TP] | None]:
        """Fetch; Faust sleeps a second whenever all partitions are paused."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        active = self._get_active_partitions()
        if not active:
            self._selectable.clear()
            await self.wait_first(self._selectable, timeout=timeout)  # type: ignore[arg-type]
            return {}, active
        return await self._getmany(active_partitions=active, timeout=timeout), active

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch again from partitions that were paused."""
        super().resume_partitions(tps)
        self._selectable.set()

    async def verify_all_partitions_active(self) -> None:
        """Nothing: Faust takes slow computing for a fault; our watchdog sees what stands still."""

    # What agents ask

    def is_next(self, message: Message) -> bool:
        """Tell whether this is the record to process next in its partition and assignment."""
        source = self._sources.get(message.tp)
        return source is not None and source.is_next(message)

    async def admit(self, message: Message) -> bool:
        """Tell whether to process a record, and expect its successor from then on.

        One that is not the next is neither to be applied nor acknowledged; where records are
        missing before it they are delivered again.
        """
        source = self._sources.get(message.tp)
        if self._admitting and source is not None and source.is_next(message):
            source.next_in += 1
            return True
        self._release(message)
        if not self._admitting or source is None or not source.is_current(message):
            return False
        if message.offset > source.next_in:
            await self.seek_back(message.tp)
        return False

    def admit_nothing(self) -> None:
        """Admit no record any more; those that were admitted are acknowledged as ever."""
        self._admitting = False

    def next_offset(self, tp: TP) -> int | None:
        """Return the offset that is to be processed next, None before the assignment has begun."""
        source = self._sources.get(tp)
        return None if source is None else source.next_in

    def is_ours(self, message: Message) -> bool:
        """Tell whether this assignment handed the record over."""
        source = self._sources.get(message.tp)
        return source is not None and source.handed_over(message)

    async def seek_back(self, tp: TP) -> None:
        """Deliver the partition again from the record that is to be processed next."""
        await self._seek(tp, self._sources[tp].seek_back())

    # Acknowledging

    def ack(self, message: Message) -> bool:
        """Note that a record is done with; an ack of an earlier assignment is ignored."""
        if message.acked:
            return False
        self._release(message)
        # Faust counts acks of records that were delivered before the last rebalance.
        source = self._sources.get(message.tp)
        return source is not None and source.acknowledge(message)

    def abandon(self) -> None:
        """Wait for no acknowledgement any more: there will be none."""
        self._abandoned = True
        self._unacked_messages.clear()

    async def wait_empty(self) -> None:
        """Wait until every record that an agent has begun is acknowledged, then commit."""
        if not self._abandoned:
            await super().wait_empty()

    def _release(self, message: Message) -> None:
        """Make no rebalance wait for this record any more."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    def _filter_tps_with_pending_acks(self, topics: TPorTopicSet | None = None) -> Iterator[TP]:
        for tp in list(self._sources):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        """Return the smallest offset that is not acknowledged: Faust commits past gaps."""
        return self._sources[tp].acknowledged

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        """Commit; Faust believes in a commit that was refused and never repeats it."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        done: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if not done:
            self._committed_offset.update(before)
        return done


def _name(tp: TP) -> str:
    return f"{tp.topic}, partition {tp.partition}"


def _check_log(tp: TP, wanted: int, first: int, end: int) -> None:
    if wanted < first:
        raise deleted(tp.topic, tp.partition, f"offset {wanted}", first)
    if wanted > end:
        raise LostInputError(
            f"{_name(tp)}: offset {wanted} is needed, but the log holds {first} to {end}: somebody "
            "made the topic anew or the broker lost records, so start a new run"
        )
