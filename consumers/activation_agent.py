"""The activation side as a Faust app: wiring around ``worker.ActivationWorker``."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from faust import StreamT
from faust.types import EventT

from consumers.limits import Limits
from consumers.progress import Progress
from consumers.refusals import Refusals
from consumers.watchdog import Watchdog, Watched
from consumers.worker import ActivationWorker, Outcome
from streams import topics
from streams.app import AppOptions, create_app, events, raw_topic
from streams.plan import Plan
from streams.transport.commits import Commits
from streams.transport.worker import ExactApp


def activations_app(
    plan: Plan,
    make_worker: Callable[[], ActivationWorker],
    broker: str,
    options: AppOptions,
    progress: Progress,
    limits: Limits = Limits(),
) -> ExactApp:
    """Return the app that turns a run's corpus into partials.

    ``make_worker`` is called once, in the one thread that owns the device from then on.
    """
    app = create_app(topics.activations_app(plan.run.name), broker, options=options)
    device = ThreadPoolExecutor(1, thread_name_prefix="device")
    commits = Commits(app)
    refusals = Refusals(app, plan, "activations", limits)
    workers: list[ActivationWorker] = []
    partials = topics.partials(plan.run.name, 0, 0).name
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name

    def handle(event: EventT[Any]) -> Outcome:
        if not workers:
            workers.append(make_worker())
        message = event.message
        found = dict(message.headers or {})
        return workers[0].handle(message.partition, message.value, found)

    async def activations(stream: StreamT[bytes]) -> None:
        loop = asyncio.get_running_loop()
        async for event in events(stream):
            if not await app.delivery.admit(event.message):
                continue
            begun = time.perf_counter()
            try:
                outcome = await loop.run_in_executor(device, handle, event)
                await refusals.settle(event, outcome.error)
            except Exception as error:
                app.fatal(error)
                return
            progress.activated(outcome, time.perf_counter() - begun)
            futures = [
                app.send_record(
                    partials,
                    record.shard,
                    record.value,
                    headers=(
                        (topics.KIND, record.kind),
                        (topics.SEQUENCE, str(record.sequence).encode()),
                    ),
                )
                for record in outcome.records
            ]
            await commits.add(event, futures)

    app.agent(raw_topic(app, corpus), name="activations")(activations)
    watched = Watched(corpus, lambda: refusals.breaker.records, dict)
    app.add_dependency(Watchdog(app, plan, watched, limits, progress))
    return app
