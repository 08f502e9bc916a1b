"""The activation side as a Faust app: wiring around ``worker.ActivationWorker``."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from faust import StreamT
from faust.types import EventT

from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.health.refusals import Refusals
from consumers.health.watchdog import Watchdog, Watched
from consumers.selection.worker import ActivationWorker, Outcome
from streams import topics
from streams.app import AppOptions, create_app, events, raw_topic
from streams.plan import Plan
from streams.transport.commits import Commits
from streams.transport.worker import ExactApp

_IN_FLIGHT = 2  # one in the device's thread, and one that waits there or is being sent


class _Batches:
    """The way of a record of the corpus: through the device's thread, then out, in order."""

    def __init__(
        self,
        app: ExactApp,
        plan: Plan,
        make_worker: Callable[[], ActivationWorker],
        refusals: Refusals,
        progress: Progress,
    ) -> None:
        self._app = app
        self._partials = topics.partials(plan.run.name, 0, 0).name
        self._make_worker = make_worker
        self._worker: ActivationWorker | None = None
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._refusals = refusals
        self._progress = progress
        self._commits = Commits(app)

    def compute(self, event: EventT[Any]) -> Awaitable[tuple[Outcome, float]]:
        """Have a record computed after those before it; return its outcome and the seconds."""
        return asyncio.get_running_loop().run_in_executor(self._device, self._handle, event)

    def _handle(self, event: EventT[Any]) -> tuple[Outcome, float]:
        begun = time.perf_counter()
        if self._worker is None:
            self._worker = self._make_worker()
        message = event.message
        found = dict(message.headers or {})
        outcome = self._worker.handle(message.partition, message.value, found)
        return outcome, time.perf_counter() - begun

    async def send(
        self,
        event: EventT[Any],
        computed: Awaitable[tuple[Outcome, float]],
        turn: asyncio.Future[None],
    ) -> None:
        """Send what a record leads to once it is its turn; a failure is final."""
        try:
            outcome, seconds = await computed
            await turn
            if self._app.failure is not None:
                return
            await self._refusals.settle(event, outcome.error)
            self._progress.activated(outcome, seconds)
            sent = [
                self._app.send_record(
                    self._partials,
                    record.shard,
                    record.value,
                    headers=(
                        (topics.KIND, record.kind),
                        (topics.SEQUENCE, str(record.sequence).encode()),
                    ),
                )
                for record in outcome.records
            ]
            await self._commits.add(event, sent)
        except Exception as error:
            self._app.fatal(error)


def activations_app(
    plan: Plan,
    make_worker: Callable[[], ActivationWorker],
    broker: str,
    options: AppOptions,
    progress: Progress,
    limits: Limits = Limits(),
) -> ExactApp:
    """Return the app that turns a run's corpus into partials.

    ``make_worker`` is called once, in the one thread that owns the device from then on. While a
    batch is on its way out, the device computes the next one.
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
    watched = Watched(corpus, lambda: refusals.breaker.records, dict)
    app.add_dependency(Watchdog(app, plan, watched, limits, progress))
    return app
