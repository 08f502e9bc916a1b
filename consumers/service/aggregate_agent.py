"""The aggregate side as a Faust app: wiring around ``overlay.Overlay`` and the snapshot writer."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faust import StreamT
from faust.types import TP, EventT

from consumers.aggregation.overlay import Overlay, partial
from consumers.health.group import follow_group
from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.health.refusals import Refusals
from consumers.health.watchdog import Watchdog, Watched
from consumers.plan import Plan
from consumers.service.shard_writer import ShardWriter
from streams import topics
from streams.errors import RecordError
from streams.record_headers import kind_in
from streams.records.partials import BucketState, Statistics
from streams.transport.access import BrokerAccess
from streams.transport.faust.app import AppOptions, create_app, events, raw_topic
from streams.transport.faust.durable_table import DurableTable, durable_table
from streams.transport.faust.flush_interval import FlushInterval
from streams.transport.faust.group_commit import Caused, GroupCommit
from streams.transport.faust.worker_app import WorkerApp

log = logging.getLogger(__name__)

_UNACKNOWLEDGED = 16_384
"""Records that may wait for a flush, at some 2 kB each once their values are let go."""


class _Shards:
    """The state behind the agent: the overlay over the table, and where each shard starts."""

    def __init__(
        self,
        app: WorkerApp,
        plan: Plan,
        table: DurableTable,
        writer: ShardWriter,
        progress: Progress,
        pace: FlushInterval,
    ) -> None:
        self._app = app
        self._plan = plan
        self._table = table
        self._writer = writer
        self._progress = progress
        self._input = app.access.full(topics.partials(plan.run.name, 0, 0).name)
        self.overlay = Overlay(plan)
        self.commits = GroupCommit(app, self._write, records=_UNACKNOWLEDGED, pace=pace)

    def assigned(self) -> None:
        """Begin an assignment with what the table holds."""
        self.commits.clear()
        self.overlay.drop()
        for tp in self._app.consumer.assignment():
            if tp.topic == self._input:
                self.overlay.load(tp.partition, self._table.owned(tp.partition))
        self._writer.owned(self.overlay.shards)
        for shard in self.overlay.shards:
            self.check(shard)

    def start(self, tp: TP) -> int | None:
        """Return the first record that some bucket of the shard has not seen."""
        return self.overlay.start(tp.partition) if tp.topic == self._input else None

    def check(self, shard: int) -> bool:
        """Have the final part written once the shard has seen the whole corpus; tell whether."""
        complete = self.overlay.is_complete(shard)
        if complete:
            self._writer.write_final(shard, self.overlay.states(shard))
        return complete

    def states(self) -> Mapping[int, Sequence[BucketState]]:
        """Return the states of every owned shard; their tables may lack the latest hits."""
        return {shard: self.overlay.outlines(shard) for shard in self.overlay.shards}

    def state_bytes(self) -> Mapping[int, int]:
        """Return the size of every owned shard's state, as last written."""
        return {
            shard: sum(len(value) for _, value in self._table.owned(shard))
            for shard in self.overlay.shards
        }

    async def _write(self) -> Caused:
        begun = time.perf_counter()
        sent, size = [], 0
        for shard, key, value in self.overlay.flush():
            sent.append(self._table.put(key, value, shard))
            size += len(value)
        if sent:
            durable = asyncio.gather(*sent, return_exceptions=True)
            durable.add_done_callback(lambda _: self._flushed(time.perf_counter() - begun, size))
        return sent

    def _flushed(self, seconds: float, size: int) -> None:
        self._progress.flushed(seconds, size, self.commits.pace.after(seconds))


@dataclass(frozen=True, slots=True)
class _Taken:
    """What became of a partial. tokens, rows: whose statistics it brought.

    complete: was it the last of its shard.
    """

    tokens: int = 0
    rows: int = 0
    duplicate: bool = False
    complete: bool = False
    error: RecordError | None = None


def aggregates_app(
    plan: Plan,
    broker: BrokerAccess | str,
    options: AppOptions,
    progress: Progress,
    limits: Limits = Limits(),
    *,
    ends_at_gap: bool = False,
) -> WorkerApp:
    """Return the app that folds a run's partials into per-cluster state and writes snapshots.

    ends_at_gap: whether a chain that nobody will complete ends it; by default it is named.
    """
    app = create_app(topics.aggregates_app(plan.run.name), broker, options=options)
    table = durable_table(app, "buckets", plan.run.shards)
    writer = ShardWriter(plan, broker, app.fatal, progress, limits)
    # Records that wait for a flush are work to the watchdog, so they may not wait for long.
    usual, patience = FlushInterval(), limits.stall / 4 or math.inf
    pace = FlushInterval(least=min(usual.least, patience), most=min(usual.most, patience))
    shards = _Shards(app, plan, table, writer, progress, pace)
    refusals = Refusals(app, plan, "aggregates", limits)
    partials = topics.partials(plan.run.name, 0, 0).name
    app.positions = shards

    async def aggregate(stream: StreamT[bytes]) -> None:
        async for event in events(stream):
            if not await app.delivery.admit(event.message):
                continue
            begun = time.perf_counter()
            try:
                taken = _take(plan, shards, writer, event)
                seconds = time.perf_counter() - begun
                await refusals.settle(event, taken.error)
                if taken.error is not None and app.delivery.is_ours(event.message):
                    # Not before its dead letter is stored, since this may become durable alone.
                    shards.overlay.pass_over(event.message.partition, event.message.offset)
            except Exception as error:
                app.fatal(error)
                return
            refused = taken.error is not None
            progress.applied(
                taken.tokens,
                seconds,
                rows=taken.rows,
                duplicate=taken.duplicate,
                refused=refused,
            )
            message = event.message
            progress.settled("aggregates", message.partition, message.timestamp)
            # It waits for the next flush, and so may many others; nobody asks for its bytes again.
            event.value = event.message.value = None
            await shards.commits.add(event)
            if taken.complete:
                shards.commits.flush_soon()

    app.agent(raw_topic(app, partials), name="aggregate")(aggregate)
    app.add_dependency(writer)
    follow_group(app, plan.run.name, "aggregates", partials, progress)
    watched = Watched(
        partials,
        lambda: refusals.breaker.records,
        shards.states,
        ends_at_gap,
        state_bytes=shards.state_bytes,
    )
    app.add_dependency(Watchdog(app, plan, watched, limits, progress))
    return app


def _take(plan: Plan, shards: _Shards, writer: ShardWriter, event: EventT[Any]) -> _Taken:
    """Take a partial in, or refuse it before any of it is."""
    message = event.message
    shard = message.partition
    kind = kind_in(dict(message.headers or {}))
    try:
        found = partial(plan, shard, kind, message.value)
        duplicate = shards.overlay.knows(shard, found)
        applied = shards.overlay.apply(shard, message.offset, found)
    except RecordError as error:
        return _Taken(error=error)
    if applied.gap is not None:
        log.warning(
            "Statistics ahead of their predecessor, dropped until it comes: %s", applied.gap
        )
    for request in applied.requests:
        writer.write(request.snapshot, shard, shards.overlay.states(shard))
    complete = shards.check(shard)
    if duplicate or not isinstance(found, Statistics):
        return _Taken(duplicate=duplicate, complete=complete)
    return _Taken(applied.tokens, found.rows if applied.gap is None else 0, complete=complete)
