"""Writes parts of snapshots beside ingestion: states are frozen, so threads may take their time."""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from mode import Service

from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.plan import Plan
from consumers.snapshots.assembly import (
    Assembler,
    Assembly,
    patiently,
    shard_manifests,
)
from consumers.snapshots.failed_snapshots import give_up, is_broker_away
from consumers.snapshots.snapshots import is_settled, manifests_of, published, write_shard
from streams.errors import (
    BrokerError,
    CorpusError,
    SnapshotError,
    StoreError,
)
from streams.monitoring import events
from streams.records.partials import BucketState
from streams.snapshots.drafts import remove_drafts
from streams.snapshots.manifests import FINAL
from streams.snapshots.store import open_store
from streams.transport.access import BrokerAccess
from streams.transport.client import Client
from streams.transport.connect import connect

log = logging.getLogger(__name__)

_MOST_THREADS = 4
_SHORTEST_POLL, _LONGEST_POLL = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at the topic found: complete shards of ours that have no manifest there, and
    whether it is worth while to look again soon."""

    lacking: frozenset[int] = frozenset()
    waiting: bool = False


def _is_lasting(error: Exception) -> bool:
    """Return whether another worker could not write the part either, so that the run has failed."""
    return isinstance(error, SnapshotError | CorpusError) and not isinstance(error, StoreError)


class ShardWriter(Service):
    """Writes parts in threads; the owner of shard 0 also puts the snapshots together.

    A part of the final snapshot is written again when its manifest was withdrawn, and a store that
    cannot be written to for a while ends the worker. A part of any other snapshot that cannot be
    written is the end of that snapshot only.

    Of every part that is being written, some buckets' rows at a time are in memory. A stop waits
    for the parts that were asked for, and once one has failed for those that were begun, so that
    no draft is left behind. What a killed owner of a shard left is removed before its next owner
    writes.
    """

    def __init__(
        self,
        plan: Plan,
        broker: BrokerAccess | str,
        failed: Callable[[BaseException], None],
        progress: Progress,
        limits: Limits = Limits(),
        pause: float = 0.5,
    ) -> None:
        """Prepare a writer. pause: seconds until a store that failed is tried again."""
        super().__init__()
        self._plan = plan
        self._broker = broker
        self._failed = failed
        self._progress = progress
        self._limits = limits
        self._pause = pause
        threads = min(_MOST_THREADS, plan.run.shards, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="snapshot")
        self._idle: queue.SimpleQueue[Client] = queue.SimpleQueue()
        self._complete: dict[int, Sequence[BucketState]] = {}
        self._writing: set[int] = set()
        self._owned: frozenset[int] = frozenset()
        self._cleaned: set[int] = set()
        self._cleaning = threading.Lock()
        self._broken = False
        self._manifests = manifests_of(plan.run.name)
        self._changed = asyncio.Event()

    def owned(self, shards: Sequence[int]) -> None:
        """Note which shards this worker owns from now on; call it before ``write_final``."""
        gained, self._owned = frozenset(shards) - self._owned, frozenset(shards)
        self._complete = {s: states for s, states in self._complete.items() if s in self._owned}
        with self._cleaning:
            self._cleaned -= gained
        for shard in () if self.should_stop else sorted(gained):
            self._threads.submit(self._clean, shard)
        self._changed.set()

    def write_final(self, shard: int, states: Sequence[BucketState]) -> None:
        """Write the part of a shard that is complete, once, and again if it is withdrawn."""
        if shard not in self._complete:
            self._complete[shard] = states
            self._write_final(shard)

    def _write_final(self, shard: int) -> None:
        self._writing.add(shard)
        writing = self.write(FINAL, shard, self._complete[shard])
        writing.add_done_callback(lambda _: self._writing.discard(shard))

    def write(
        self, snapshot: str, shard: int, states: Sequence[BucketState]
    ) -> "asyncio.Future[None]":
        """Write a part of a snapshot in the background; a failure ends the worker."""
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._threads, self._write, snapshot, shard, list(states))
        writing.add_done_callback(self._wrote)
        return writing

    def _write(self, snapshot: str, shard: int, states: Sequence[BucketState]) -> None:
        begun = time.perf_counter()
        self._clean(shard)
        with self._connected() as client:
            try:
                patiently(
                    lambda: write_shard(self._plan, snapshot, shard, states, client), self._pause
                )
            except Exception as error:
                if is_broker_away(error) or (snapshot == FINAL and not _is_lasting(error)):
                    raise
                log.warning("Snapshot %s is given up, shard %d: %s", snapshot, shard, error)
                give_up(self._plan, client, snapshot, f"shard {shard}: {error}")
                return
        seconds = time.perf_counter() - begun
        self._progress.wrote_part(seconds)
        run = self._plan.run.name
        events.say(events.PART_WRITTEN, run=run, snapshot=snapshot, shard=shard, seconds=seconds)

    def _clean(self, shard: int) -> None:
        """Remove the drafts that were left of a shard, once after it has come to us."""
        with self._cleaning:
            if shard in self._cleaned:
                return
            self._cleaned.add(shard)
            try:
                store = open_store(self._plan.run.store)
                found = remove_drafts(store.files, store.path(self._plan.run.name), shard)
            except (SnapshotError, OSError) as error:
                log.warning("Drafts of shard %d cannot be looked for: %s", shard, error)
                return
        if found:
            log.info("Removed what a killed worker left of shard %d: %s", shard, ", ".join(found))

    def _wrote(self, writing: "asyncio.Future[None]") -> None:
        if not writing.cancelled() and (error := writing.exception()) is not None:
            self._broken = True
            self._failed(error)
        self._changed.set()

    @Service.task
    async def _follow_forever(self) -> None:
        """Put snapshots together, while shard 0 is ours, and write withdrawn parts again.

        Our own parts are taken up at once; for those of other workers the topic is looked at again
        and again while some are missing, the less often the longer they take.
        """
        poll: float | None = None
        loop = asyncio.get_running_loop()
        try:
            while not self._broken:
                with suppress(TimeoutError):
                    async with asyncio.timeout(poll):
                        await self._changed.wait()
                    poll = _SHORTEST_POLL
                self._changed.clear()
                # What is being written now may be published after the look.
                complete = frozenset(self._complete) - self._writing
                look = await loop.run_in_executor(
                    self._threads, self._look, complete, 0 in self._owned
                )
                again = look.lacking & self._complete.keys() - self._writing
                for shard in () if self._broken else sorted(again):
                    self._write_final(shard)
                poll = min(_LONGEST_POLL, 1.5 * (poll or _SHORTEST_POLL)) if look.waiting else None
        except Exception as error:
            self._failed(error)

    async def on_shutdown(self) -> None:
        """Let the threads end, then let go of the broker."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=self._broken)
        while not self._idle.empty():
            self._idle.get().close()

    def _look(self, complete: frozenset[int], owns_first: bool) -> _Look:
        """Look at the topic once, and write the run manifests that can be written.

        A broker that is away for a while is asked again by who has nothing to put together.
        """
        try:
            return self._looked(complete, owns_first) if complete or owns_first else _Look()
        except BrokerError as error:
            if owns_first:
                raise
            log.warning("Whether parts are to be written again cannot be seen: %s", error)
            return _Look(waiting=True)

    def _looked(self, complete: frozenset[int], owns_first: bool) -> _Look:
        begun = time.perf_counter()
        with self._connected() as client:
            snapshots = published(client, self._plan.run.name, self._manifests)
            lacking = self._lacking(complete, snapshots.get(FINAL, {}))
            assembly = Assembly()
            if owns_first:
                share = self._limits.refused_share
                assembler = Assembler(self._plan, client, share, self._pause)
                assembly = assembler.assemble_ready(snapshots)
        self._report(assembly, time.perf_counter() - begun)
        return _Look(lacking or frozenset(), lacking is not None or assembly.waiting)

    def _lacking(
        self, complete: frozenset[int], entries: Mapping[str, bytes]
    ) -> frozenset[int] | None:
        """Return which of our complete shards have no manifest; None once nobody needs any."""
        if not complete or is_settled(self._plan, FINAL, entries):
            return None
        return complete - shard_manifests(self._plan, FINAL, entries).keys()

    def _report(self, assembly: Assembly, seconds: float) -> None:
        for manifest in assembly.made:
            events.say(
                events.SNAPSHOT_WRITTEN,
                run=manifest.run,
                snapshot=manifest.snapshot,
                final=manifest.final,
                content=manifest.content,
            )
            self._progress.wrote_part(seconds)
        for failed in assembly.failed:
            events.say(
                events.SNAPSHOT_FAILED,
                run=failed.run,
                snapshot=failed.snapshot,
                cause=failed.failed,
            )
            self._progress.wrote_part(seconds)

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        """Yield a client that no other thread uses meanwhile."""
        try:
            client = self._idle.get_nowait()
        except queue.Empty:
            client = connect(self._broker)
        try:
            yield client
        finally:
            self._idle.put(client)
