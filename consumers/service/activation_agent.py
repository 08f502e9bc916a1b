"""The activation side as a Faust app: wiring around ``worker.ActivationWorker``."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from faust import StreamT
from faust.types import EventT

from consumers.health.group import follow_group
from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.health.refusals import Refusals
from consumers.health.watchdog import Watchdog, Watched
from consumers.plan import Plan
from consumers.selection.worker import ActivationWorker, Computed, Outcome
from streams import topics
from streams.record_headers import headers_of
from streams.transport.access import BrokerAccess
from streams.transport.faust.app import AppOptions, create_app, events, raw_topic
from streams.transport.faust.group_commit import GroupCommit
from streams.transport.faust.worker_app import WorkerApp

_IN_FLIGHT = 3  # one in the device's thread, one behind it, and one that waits or is being sent


@dataclass(frozen=True, slots=True)
class _Step:
    """What became of a record in the device's thread, and how many seconds it was there."""

    found: Computed | Outcome
    seconds: float


class _Batches:
    """The way of a record of the corpus: through the device's thread, then out, in order.

    On its way out it is selected from in another thread, so that the device need not wait for that.
    """

    def __init__(
        self,
        app: WorkerApp,
        plan: Plan,
        make_worker: Callable[[], ActivationWorker],
        refusals: Refusals,
        progress: Progress,
    ) -> None:
        self._app = app
        self._partials = topics.partials(plan.run.name, 0, 0).name
        self._worker = cache(make_worker)
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._selection = ThreadPoolExecutor(1, thread_name_prefix="selection")
        self._refusals = refusals
        self._progress = progress
        self._commits = GroupCommit(app)

    def compute(self, event: EventT[Any]) -> Awaitable[_Step]:
        """Have a record computed after those before it."""
        return asyncio.get_running_loop().run_in_executor(self._device, self._compute, event)

    def _compute(self, event: EventT[Any]) -> _Step:
        begun = time.perf_counter()
        message = event.message
        headers = dict(message.headers or {})
        found = self._worker().compute(message.partition, message.value, headers)
        return _Step(found, time.perf_counter() - begun)

    async def _selected(self, step: _Step) -> tuple[Outcome, float]:
        if isinstance(step.found, Outcome):
            return step.found, step.seconds
        loop, worker = asyncio.get_running_loop(), self._worker()
        outcome = await loop.run_in_executor(self._selection, worker.select, step.found)
        return outcome, step.seconds + outcome.select_seconds

    async def send(
        self, event: EventT[Any], computed: Awaitable[_Step], turn: asyncio.Future[None]
    ) -> None:
        """Send what a record leads to once it is its turn; a failure is final."""
        try:
            step = await computed
            await turn
            outcome, seconds = await self._selected(step)
            if self._app.failure is not None:
                return
            await self._refusals.settle(event, outcome.error)
            self._progress.activated(outcome, seconds)
            message = event.message
            self._progress.settled("activations", message.partition, message.timestamp)
            sent = [
                self._app.send_record(
                    self._partials,
                    record.shard,
                    record.value,
                    headers=headers_of(record.kind, record.sequence),
                )
                for record in outcome.records
            ]
            await self._commits.add(event, sent)
        except Exception as error:
            self._app.fatal(error)


def activations_app(
    plan: Plan,
    make_worker: Callable[[], ActivationWorker],
    broker: BrokerAccess | str,
    options: AppOptions,
    progress: Progress,
    limits: Limits = Limits(),
) -> WorkerApp:
    """Return the app that turns a run's corpus into partials.

    ``make_worker`` is called once, in the one thread that owns the device from then on. While a
    batch is on its way out, which begins with the selection, the device computes the next one.
    """
    app = create_app(topics.activations_app(plan.run.name), broker, options=options)
    refusals = Refusals(app, plan, "activations", limits)
    batches = _Batches(app, plan, make_worker, refusals, progress)
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name

    async def activations(stream: StreamT[bytes]) -> None:
        room = asyncio.Semaphore(_IN_FLIGHT)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn.set_result(None)
        async with asyncio.TaskGroup() as group:
            async for event in events(stream):
                if not await app.delivery.admit(event.message):
                    continue
                await room.acquire()
                if app.failure is not None:
                    return
                turn = group.create_task(batches.send(event, batches.compute(event), turn))
                turn.add_done_callback(lambda _: room.release())

    app.agent(raw_topic(app, corpus), name="activations")(activations)
    follow_group(app, plan.run.name, "activations", corpus, progress)
    watched = Watched(corpus, lambda: refusals.breaker.records, dict, side="activations")
    app.add_dependency(Watchdog(app, plan, watched, limits, progress))
    return app
