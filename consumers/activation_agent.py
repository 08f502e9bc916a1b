"""The activation side as a Faust app: wiring around ``worker.ActivationWorker``."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust
from faust.types import EventT

from consumers.progress import Progress
from consumers.worker import ActivationWorker
from streams import topics
from streams.app import AppOptions, create_app, raw_topic
from streams.deadletters import Origin, headers
from streams.errors import RecordError
from streams.plan import Plan
from streams.transport.commits import Commits
from streams.transport.sends import Confirmation
from streams.transport.worker import ExactApp


def activations_app(
    plan: Plan,
    make_worker: Callable[[], ActivationWorker],
    broker: str,
    options: AppOptions,
    progress: Progress,
) -> ExactApp:
    """Return the app that turns a run's corpus into partials.

    ``make_worker`` is called once, in the one thread that owns the device from then on.
    """
    app = create_app(topics.activations_app(plan.run.name), broker, options=options)
    device = ThreadPoolExecutor(1, thread_name_prefix="device")
    commits = Commits(app)
    workers: list[ActivationWorker] = []

    def handle(event: EventT[Any]) -> Any:
        if not workers:
            workers.append(make_worker())
        message = event.message
        found = dict(message.headers or {})
        return workers[0].handle(message.partition, message.value, found)

    async def activations(stream: faust.Stream[bytes]) -> None:
        loop = asyncio.get_running_loop()
        async for event in stream.noack().events():
            if not await app.delivery.admit(event.message):
                continue
            try:
                outcome = await loop.run_in_executor(device, handle, event)
            except Exception as error:
                app.fatal(error)
                return
            futures = [
                app.send_record(
                    topics.partials(plan.run.name, 0, 0).name,
                    record.shard,
                    record.value,
                    headers=(
                        (topics.KIND, record.kind),
                        (topics.SEQUENCE, str(record.sequence).encode()),
                    ),
                )
                for record in outcome.records
            ]
            if outcome.error is not None:
                futures.append(send_dead_letter(app, plan, event, outcome.error, "activations"))
            progress.activated(outcome)
            await commits.add(event, futures)

    corpus = raw_topic(app, topics.tokens(plan.run.corpus, plan.run.partitions).name)
    app.agent(corpus, name="activations")(activations)
    return app


def send_dead_letter(
    app: ExactApp, plan: Plan, event: EventT[Any], error: RecordError, stage: str
) -> Confirmation:
    """Send a record that cannot be processed, as it came, to the dead letters."""
    message = event.message
    timestamp = int((message.timestamp or 0) * 1000)
    origin = Origin(message.topic, message.partition, message.offset, timestamp)
    return app.send_record(
        topics.DEAD_LETTERS.name,
        0,
        message.value,
        message.key,
        headers(origin, error, app=app.conf.id, run=plan.run.name, stage=stage),
    )
