"""What our consumers do differently from Faust's: nothing lost, nothing acknowledged in vain.

The comments that begin with "Faust" name what 0.15.3 does and results were lost by.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakSet

from faust.transport.consumer import Consumer, RecordMap
from faust.types import TP, Message
from faust.types.transports import TPorTopicSet
from mode.services import ServiceT
from mode.utils.futures import notify

from streams.errors import LostInputError

if TYPE_CHECKING:
    from streams.transport.worker import ExactApp

    _Base = Consumer
else:
    _Base = object

_HOLES_ALLOWED = 10
_BUFFERED_POLL = 0.05


class StartPositions(Protocol):
    """Where an app's source partitions start, asked once per assignment."""

    def assigned(self) -> None:
        """Drop what was not flushed, read the table anew: it is recovered, no record came yet."""

    def start(self, tp: TP) -> int | None:
        """Return the first offset to deliver; None: the committed one, else the log's start."""


class _Untracked(dict[TP, int | None]):
    """Stands in for Faust's read offsets, which drop records after a seek: remembers nothing."""

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def update(self, *_: Any, **__: Any) -> None:
        pass


class ExactConsumer(_Base):
    """Mixin before a Faust consumer: contiguous delivery, start positions, honest commits.

    It expects source topics whose offsets have no holes: not compacted, no transactions. Agents
    iterate ``stream.noack().events()`` and ask ``admit`` about every record, without awaiting
    anything between the answer and the change of their state.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Untracked()
        self._selectable = asyncio.Event()
        self._hand_over_at: dict[TP, int] = {}
        self._take_at: dict[TP, int] = {}
        self._commit_at: dict[TP, int] = {}
        self._acked_above: dict[TP, set[int]] = {}
        self._holes: dict[TP, int] = {}
        self._offered: dict[TP, WeakSet[Message]] = {}
        self._assigned_messages: WeakSet[Message] = WeakSet()

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Return the group's committed offsets."""
        raise NotImplementedError

    # Start of an assignment

    async def perform_seek(self) -> None:
        """Begin the assignment: every source partition at the position its state needs."""
        self._forget_assignment()
        positions = cast("ExactApp", self.app).positions
        tps = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        if positions is not None:
            positions.assigned()
        if not tps:
            return
        committed = await self.committed(tps)
        first, end = await self.earliest_offsets(*tps), await self.highwaters(*tps)
        starts = {}
        for tp in tps:
            wanted = positions.start(tp) if positions is not None else None
            starts[tp] = _start(tp, wanted, committed.get(tp), first[tp], end[tp])
        await self.seek_wait(starts)
        for tp, offset in starts.items():
            self._hand_over_at[tp] = self._take_at[tp] = self._commit_at[tp] = offset
            self._acked_above[tp] = set()
            self._offered[tp] = WeakSet()
            # Faust forgets its commits at a revoke and then commits whatever it finds acked.
            known = committed.get(tp)
            self._committed_offset[tp] = known if known is not None and known >= 0 else None

    def _forget_assignment(self) -> None:
        for state in (self._hand_over_at, self._take_at, self._commit_at, self._acked_above):
            state.clear()
        self._holes.clear()
        self._offered.clear()
        self._assigned_messages = WeakSet()
        self._buffered_partitions.clear()

    # Delivery

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # type: ignore[override,unused-ignore]
        """Yield the next expected record of each partition, and no other.

        Faust drops fetched records when the flow stops, goes on behind them and counts the hole
        as acknowledged.
        """
        records, _ = await self._wait_next_records(timeout)
        assignment = self._assigned_messages
        sought: set[TP] = set()
        for tp, record in self.scheduler.iterate(records or {}):
            if self.should_stop or not self.flow_active:
                return
            if assignment is not self._assigned_messages:
                return
            expected = self._hand_over_at.get(tp)
            if expected is None or tp in sought or record.offset < expected:
                continue
            if record.offset > expected:
                sought.add(tp)
                await self._seek_over_hole(tp, expected, record.offset)
                continue
            self._holes.pop(tp, None)
            self._hand_over_at[tp] = expected + 1
            message = self._to_message(tp, record)
            self._offered[tp].add(message)
            assignment.add(message)
            yield tp, message

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
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.app.should_stop:
                raise

    async def _seek_over_hole(self, tp: TP, expected: int, found: int) -> None:
        self._holes[tp] = self._holes.get(tp, 0) + 1
        if self._holes[tp] > _HOLES_ALLOWED:
            raise LostInputError(
                f"{tp.topic}, partition {tp.partition}: offset {expected} is missing from the "
                f"log, which goes on at {found}; start a new run"
            )
        await self._seek(tp, expected)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: Faust books holes in the delivery as acknowledged."""

    async def _wait_next_records(
        self, timeout: float
    ) -> tuple[RecordMap | None, set[TP] | None]:
        """Fetch; Faust sleeps a second whenever all partitions are held back by full queues."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        active = self._get_active_partitions()
        if not active:
            self._selectable.clear()
            await self.wait_first(self._selectable, timeout=timeout)  # type: ignore[arg-type]
            return {}, active
        if self._buffered_partitions:
            timeout = _BUFFERED_POLL
        return await self._getmany(active_partitions=active, timeout=timeout), active

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch again from a partition whose queue has room."""
        super().on_buffer_drop(tp)
        self._selectable.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch again from partitions that were paused."""
        super().resume_partitions(tps)
        self._selectable.set()

    # What agents ask

    def is_next(self, message: Message) -> bool:
        """Tell whether this is the record to process next in its partition and assignment."""
        tp = message.tp
        if message.offset != self._take_at.get(tp):
            return False
        return message in self._offered[tp]

    async def admit(self, message: Message) -> bool:
        """Tell whether to process a record, and expect its successor from then on.

        One that is not the next is neither to be applied nor acknowledged; where records are
        missing before it they are delivered again.
        """
        if self.is_next(message):
            self._take_at[message.tp] += 1
            return True
        self._unacked_messages.discard(message)
        message.acked = True
        notify(self._waiting_for_ack)
        # Behind a seek the queue still holds records that came before it: they ask for no other.
        expected = self._take_at.get(message.tp)
        known = expected is not None and message in self._offered[message.tp]
        if known and message.offset > self._take_at[message.tp]:
            await self.seek_back(message.tp)
        return False

    async def seek_back(self, tp: TP) -> None:
        """Deliver the partition again from the record that is to be processed next."""
        # Records in the agent's queue were handed over before; only what comes now counts.
        self._offered[tp] = WeakSet()
        self._hand_over_at[tp] = self._take_at[tp]
        await self._seek(tp, self._take_at[tp])

    # Acknowledging

    def ack(self, message: Message) -> bool:
        """Note that a record is done with; an ack of an earlier assignment is ignored."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        # Faust counts acks of records that were delivered before the last rebalance.
        if message not in self._assigned_messages:
            return False
        tp = message.tp
        above = self._acked_above[tp]
        above.add(message.offset)
        while self._commit_at[tp] in above:
            above.remove(self._commit_at[tp])
            self._commit_at[tp] += 1
        return True

    def _filter_tps_with_pending_acks(self, topics: TPorTopicSet | None = None) -> Iterator[TP]:
        for tp in list(self._commit_at):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        """Return the smallest offset that is not acknowledged: Faust commits past gaps."""
        return self._commit_at.get(tp)

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        """Commit; Faust believes in a commit that was refused and never repeats it."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        done = await super()._commit_offsets(offsets, start_new_transaction)
        if not done:
            self._committed_offset.update(
                {tp: offset for tp, offset in before.items() if tp in self._commit_at}
            )
        return done


def _start(tp: TP, wanted: int | None, committed: int | None, first: int, end: int) -> int:
    if wanted is None:
        wanted = committed if committed is not None and committed >= 0 else first
    if not first <= wanted <= end:
        raise LostInputError(
            f"{tp.topic}, partition {tp.partition}: offset {wanted} is needed, but the log holds "
            f"{first} to {end}; its records were deleted or the topic was made anew, so start a "
            "new run"
        )
    return wanted
