"""The aggregate side as a Faust app: wiring around ``overlay.Overlay`` and the snapshot writer."""

import logging
import time
from typing import Any

import faust
from faust.types import TP, EventT

from consumers.activation_agent import send_dead_letter
from consumers.overlay import Applied, Overlay, partial
from consumers.progress import Progress
from consumers.shard_writer import ShardWriter
from streams import topics
from streams.app import AppOptions, create_app, raw_topic
from streams.errors import RecordError
from streams.plan import Plan
from streams.transport.commits import Caused, Commits
from streams.transport.durable import DurableTable, durable_table
from streams.transport.sends import Confirmation
from streams.transport.worker import ExactApp

log = logging.getLogger(__name__)


class _Shards:
    """The state behind the agent: the overlay over the table, and where each shard starts."""

    def __init__(self, app: ExactApp, plan: Plan, table: DurableTable, writer: ShardWriter) -> None:
        self._app = app
        self._plan = plan
        self._table = table
        self._writer = writer
        self._input = topics.partials(plan.run.name, 0, 0).name
        self.overlay = Overlay(plan)
        self.commits = Commits(app, self._write, records=64, seconds=1.0)

    def assigned(self) -> None:
        """Begin an assignment with what the table holds."""
        self.commits.clear()
        self.overlay.drop()
        for tp in self._app.consumer.assignment():
            if tp.topic == self._input:
                self.overlay.load(tp.partition, self._table.owned(tp.partition))
                self.check(tp.partition)
        self._writer.owned(self.overlay.shards)

    def start(self, tp: TP) -> int | None:
        """Return the first record that some bucket of the shard has not seen."""
        return self.overlay.start(tp.partition) if tp.topic == self._input else None

    def check(self, shard: int) -> None:
        """Have the final part written once the shard has seen the whole corpus."""
        if self.overlay.is_complete(shard):
            self._writer.write_final(shard, self.overlay.states(shard))

    async def _write(self) -> Caused:
        return [self._table.put(key, value, shard) for shard, key, value in self.overlay.flush()]


def aggregates_app(plan: Plan, broker: str, options: AppOptions, progress: Progress) -> ExactApp:
    """Return the app that folds a run's partials into per-cluster state and writes snapshots."""
    app = create_app(topics.aggregates_app(plan.run.name), broker, options=options)
    table = durable_table(app, "buckets", plan.run.shards)
    writer = ShardWriter(plan, broker, app.fatal, progress)
    shards = _Shards(app, plan, table, writer)
    app.positions = shards

    async def aggregate(stream: faust.Stream[bytes]) -> None:
        async for event in stream.noack().events():
            if not await app.delivery.admit(event.message):
                continue
            begun = time.perf_counter()
            caused: list[Confirmation] = []
            tokens = 0
            try:
                tokens = _apply(plan, shards, writer, event)
            except RecordError as error:
                caused.append(send_dead_letter(app, plan, event, error, "aggregates"))
            except Exception as error:
                app.fatal(error)
                return
            progress.applied(tokens, time.perf_counter() - begun)
            await shards.commits.add(event, caused)

    source = raw_topic(app, topics.partials(plan.run.name, 0, 0).name)
    app.agent(source, name="aggregate")(aggregate)
    app.task(writer.assemble_forever)
    return app


def _apply(plan: Plan, shards: _Shards, writer: ShardWriter, event: EventT[Any]) -> int:
    """Take a partial in and return the tokens whose statistics it brought."""
    message = event.message
    kind = dict(message.headers or {}).get(topics.KIND, b"")
    found = partial(plan, message.partition, kind, message.value)
    applied: Applied = shards.overlay.apply(message.partition, message.offset, found)
    if applied.gap is not None:
        log.warning(
            "Statistics ahead of their predecessor, dropped until it comes: %s", applied.gap
        )
    if applied.request is not None:
        states = shards.overlay.states(message.partition)
        writer.write(applied.request.snapshot, message.partition, states)
    shards.check(message.partition)
    return applied.tokens
