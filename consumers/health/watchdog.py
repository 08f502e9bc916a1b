"""Ends a worker that has work and gets no further, and names chains that nobody will complete."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mode import Service

from consumers.health.limits import Limits
from consumers.health.progress import Progress, Standing
from consumers.health.stall import Gap, Stall, gaps, reached
from consumers.health.watching import Reading, readings
from streams import topics
from streams.errors import BrokerError, StallError
from streams.partials import BucketState
from streams.plan import Plan
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.worker import ExactApp

log = logging.getLogger(__name__)

Readings = Mapping[int, Reading]
Shards = Mapping[int, Sequence[BucketState]]
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watchdog looks at: the input of an app, what it handled of it, its shards' states.

    Its functions are called in the event loop of the app.
    """

    topic: str
    handled: Callable[[], int]
    shards: Callable[[], Shards]


class Watchdog(Service):
    """Runs beside an app from its first moment on, so that it also sees one that never begins.

    Lags are those of the partitions that the worker was assigned; while it has none, those of its
    group, which also comes to a halt if nobody is assigned anything.
    """

    def __init__(
        self,
        app: ExactApp,
        plan: Plan,
        watched: Watched,
        limits: Limits,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._app = app
        self._plan = plan
        self._watched = watched
        self._progress = progress
        self._clock = clock
        self._stall = Stall(limits.stall)
        self._incomplete = Stall(limits.incomplete)
        self._poll = min([_POLL_SECONDS, *(s / 4 for s in (limits.stall, limits.incomplete) if s)])
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watchdog")
        self._client: Client | None = None
        self._asked = False

    @Service.task
    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        seen: tuple[Readings, Readings] | None = None
        while True:
            await self.sleep(self._poll)
            if self.should_stop:
                return
            self._asked = True
            try:
                seen = await loop.run_in_executor(self._thread, self._read)
            except BrokerError as error:
                log.warning("The watchdog cannot see how far the groups are: %s", error)
            if seen is not None:
                self._look(self._clock(), *seen)

    async def on_stop(self) -> None:
        """Let go of the broker, once nobody reads from it."""
        if self._asked:
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _read(self) -> tuple[Readings, Readings]:
        """Return how far our group has come in its input, and the activation side in the corpus."""
        if self._client is None:
            self._client = connect(self._app.address)
        run = self._plan.run
        corpus = topics.tokens(run.corpus, run.partitions).name
        return (
            readings(self._client, self._app.conf.id, self._watched.topic),
            readings(self._client, topics.activations_app(run.name), corpus),
        )

    def _look(self, now: float, ours: Readings, activations: Readings) -> None:
        topic, shards = self._watched.topic, self._watched.shards()
        assigned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == topic}
        lag = {partition: ours[partition].lag for partition in sorted(assigned)}
        chains = {shard: reached(states) for shard, states in shards.items()}
        self._progress.stands(id(self), Standing(self._app.conf.id, topic, lag, chains))
        self._check_stall(now, {p: ours[p] for p in assigned or ours})
        missing = [gap for states in shards.values() for gap in gaps(states)]
        self._check_chains(
            now,
            [g for g in missing if ours[g.shard].lag == 0 == activations[g.partition].lag],
        )

    def _check_stall(self, now: float, found: Readings) -> None:
        lag = sum(reading.lag for reading in found.values())
        done = (self._watched.handled(), *(found[p].at for p in sorted(found)))
        self._stall = self._stall.after(now, lag, done)
        if self._stall.lasts(now):
            self._app.fatal(
                StallError(
                    f"no progress for {self._stall.limit:g} s although {lag:,} records of "
                    f"{self._watched.topic} wait for group {self._app.conf.id}; look at its device "
                    "and its broker, or raise limits.stall if one batch takes that long"
                )
            )

    def _check_chains(self, now: float, found: Sequence[Gap]) -> None:
        self._incomplete = self._incomplete.after(now, len(found), tuple(found))
        if self._incomplete.lasts(now):
            for gap in found:
                log.error("%s", gap.sentence(self._plan.run.name))
            self._incomplete = Stall(self._incomplete.limit)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
