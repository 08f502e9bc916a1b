"""Ends a worker that has work and gets no further, and names chains that nobody will complete.

A worker whose input was deleted ends, too: it would have nothing left to read and no lag.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mode import Service

from consumers.health.corpus_log import first_sequence, offset_of
from consumers.health.group import worker_position
from consumers.health.group_lag import Reading, readings
from consumers.health.limits import Limits
from consumers.health.progress import Progress, Side
from consumers.health.stall import Stall, UnfilledGap, gaps, reached, unreachable
from consumers.plan import Plan
from streams import topics
from streams.errors import AccessError, BrokerError, LostInputError, StallError
from streams.lost_input import deleted
from streams.records.partials import BucketState
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.faust.worker_app import WorkerApp

log = logging.getLogger(__name__)

Readings = Mapping[int, Reading]
Shards = Mapping[int, Sequence[BucketState]]
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watchdog looks at: the input of an app, what it handled of it, its shards' states.

    Its functions are called in the event loop of the app. ends_at_gap: whether a chain that nobody
    will complete ends the worker, as it must where the activation side, which has to be stopped
    for a repair, is in the same process.
    """

    topic: str
    handled: Callable[[], int]
    shards: Callable[[], Shards]
    ends_at_gap: bool = False
    side: Side = "aggregates"
    state_bytes: Callable[[], Mapping[int, int]] = dict


@dataclass(frozen=True, slots=True)
class _Seen:
    """How far the app and the activation side are; the first sequences of partitions cut since."""

    ours: Readings
    activations: Readings
    first: Mapping[int, int]


class Watchdog(Service):
    """Runs beside an app from its first moment on, so that it also sees one that never begins.

    Lags are those of the partitions that the worker was assigned; while it has none, those of its
    group, which also comes to a halt if nobody is assigned anything.
    """

    def __init__(
        self,
        app: WorkerApp,
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
        seen: _Seen | None = None
        while True:
            await self.sleep(self._poll)
            if self.should_stop:
                return
            self._asked = True
            try:
                seen = await loop.run_in_executor(self._thread, self._read)
            except AccessError as error:
                # The client would try again for ever, and lock out a user whose password changed.
                self._app.fatal(error)
                return
            except BrokerError as error:
                log.warning("The watchdog cannot see how far the groups are: %s", error)
            if seen is not None:
                await self._look(self._clock(), seen)

    async def on_stop(self) -> None:
        """Let go of the broker, once nobody reads from it."""
        if self._asked:
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _read(self) -> _Seen:
        """Return how far our group has come in its input, and the activation side in the corpus."""
        if self._client is None:
            self._client = connect(self._app.access)
        app = topics.activations_app(self._plan.run.name)
        group = self._app.access.own(self._app.conf.id)
        ours = readings(self._client, group, self._watched.topic)
        activations = readings(self._client, app, self._corpus)
        first = {}
        for partition, reading in activations.items():
            if reading.start > 0:
                found = first_sequence(self._client, self._corpus, partition, reading.start)
                first[partition] = sys.maxsize if found is None else found
        return _Seen(ours, activations, first)

    @property
    def _corpus(self) -> str:
        return topics.tokens(self._plan.run.corpus, self._plan.run.partitions).name

    async def _look(self, now: float, seen: _Seen) -> None:
        ours, activations = seen.ours, seen.activations
        topic = self._app.access.full(self._watched.topic)
        shards = self._watched.shards()
        tps = [tp for tp in self._app.consumer.assignment() if tp.topic == topic]
        assigned = {tp.partition for tp in tps}
        for tp in tps:
            # What was read is older than where we are, so this is no false alarm.
            wanted, start = self._app.delivery.next_offset(tp), ours[tp.partition].start
            if wanted is not None and wanted < start:
                self._app.fatal(deleted(topic, tp.partition, f"offset {wanted}", start))
                return
        chains = {shard: reached(states) for shard, states in shards.items()}
        sizes = self._watched.state_bytes()
        ours_now = worker_position(self._app, self._watched.side, topic, ours, chains, sizes)
        self._progress.note_position(id(self), ours_now)
        self._check_stall(now, {p: ours[p] for p in assigned or ours})
        done = [states for shard, states in shards.items() if ours[shard].lag == 0]
        missing = [gap for states in done for gap in gaps(states)]
        lost = [place for states in done for place in unreachable(states, seen.first)]
        await self._check_chains(
            now, [g for g in missing if activations[g.partition].lag == 0], lost
        )

    def _check_stall(self, now: float, found: Readings) -> None:
        lag = sum(reading.lag for reading in found.values())
        done = (self._watched.handled(), *(found[p].at for p in sorted(found)))
        self._stall = self._stall.after(now, lag, done)
        if self._stall.lasts(now):
            self._app.fatal(
                StallError(
                    f"no progress for {self._stall.limit:g} s although {lag:,} records of "
                    f"{self._app.access.full(self._watched.topic)} wait for group "
                    f"{self._app.conf.id}; look at its device and its broker, or "
                    "raise limits.stall if one batch takes that long"
                )
            )

    async def _check_chains(
        self, now: float, found: Sequence[UnfilledGap], lost: Sequence[tuple[int, int, int]]
    ) -> None:
        missing = len(found) + len(lost)
        self._incomplete = self._incomplete.after(now, missing, (*found, *lost))
        if not self._incomplete.lasts(now):
            return
        self._incomplete = Stall(self._incomplete.limit)
        wanted = {(partition, sequence) for _, partition, sequence in lost}
        wanted |= {(gap.partition, gap.last + 1) for gap in found}
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._expect_there, wanted)
        except LostInputError as error:
            self._app.fatal(error)
            return
        except BrokerError as error:
            log.warning("Whether the corpus still holds what is missing cannot be seen: %s", error)
            return
        for gap in found:
            log.error("%s", gap.sentence(self._plan.run.name))
        if found and self._watched.ends_at_gap:
            self._app.fatal(StallError(found[0].sentence(self._plan.run.name)))

    def _expect_there(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Raise LostInputError unless batches at (partition, sequence) are there or are to come."""
        assert self._client is not None
        for partition, sequence in sorted(wanted):
            offset_of(self._client, self._corpus, partition, sequence)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
