"""Writes parts of snapshots beside ingestion: states are frozen, so threads may take their time."""

import asyncio
import logging
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from mode import Service

from consumers.health.progress import Progress
from consumers.snapshots.snapshots import assemble_ready, manifests_of, write_shard
from streams.partials import BucketState
from streams.plan import Plan
from streams.snapshot import FINAL
from streams.transport.client import Client
from streams.transport.connect import connect

log = logging.getLogger(__name__)

_MOST_THREADS = 4
_SHORTEST_POLL, _LONGEST_POLL = 0.05, 0.5


class ShardWriter(Service):
    """Writes parts in threads; the owner of shard 0 also writes the run manifests.

    Of every part that is being written, some buckets' rows at a time are in memory. A stop waits
    for the parts that were asked for, and once one has failed for those that were begun, so that
    no draft is left behind.
    """

    def __init__(
        self, plan: Plan, broker: str, failed: Callable[[BaseException], None], progress: Progress
    ) -> None:
        super().__init__()
        self._plan = plan
        self._broker = broker
        self._failed = failed
        self._progress = progress
        threads = min(_MOST_THREADS, plan.run.shards, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="snapshot")
        self._idle: queue.SimpleQueue[Client] = queue.SimpleQueue()
        self._finals: set[int] = set()
        self._owns_first = False
        self._broken = False
        self._manifests = manifests_of(plan.run.name)
        self._changed = asyncio.Event()

    def owned(self, shards: Sequence[int]) -> None:
        """Note which shards this worker owns from now on."""
        self._owns_first = 0 in shards
        self._changed.set()

    def write_final(self, shard: int, states: Sequence[BucketState]) -> None:
        """Write the part of a shard that is complete, once."""
        if shard not in self._finals:
            self._finals.add(shard)
            self.write(FINAL, shard, states)

    def write(self, snapshot: str, shard: int, states: Sequence[BucketState]) -> None:
        """Write a part of a snapshot in the background; a failure ends the worker."""
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._threads, self._write, snapshot, shard, list(states))
        writing.add_done_callback(self._wrote)

    def _write(self, snapshot: str, shard: int, states: Sequence[BucketState]) -> None:
        begun = time.perf_counter()
        with self._connected() as client:
            write_shard(self._plan, snapshot, shard, states, client)
        self._progress.wrote_part(time.perf_counter() - begun)
        log.info("Part written: snapshot %s, shard %d", snapshot, shard)

    def _wrote(self, writing: "asyncio.Future[None]") -> None:
        if not writing.cancelled() and (error := writing.exception()) is not None:
            self._broken = True
            self._failed(error)
        self._changed.set()

    @Service.task
    async def _assemble_forever(self) -> None:
        """Write run manifests as their shards' parts come in, while shard 0 is ours.

        Our own parts are taken up at once; for those of other workers the topic is looked at again
        and again while some are missing, the less often the longer they take.
        """
        poll: float | None = None
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(poll):
                        await self._changed.wait()
                    poll = _SHORTEST_POLL
                self._changed.clear()
                waiting = self._owns_first and await self._try_to_assemble()
                poll = min(_LONGEST_POLL, 1.5 * (poll or _SHORTEST_POLL)) if waiting else None
        except Exception as error:
            self._failed(error)

    async def on_shutdown(self) -> None:
        """Let the threads end, then let go of the broker."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=self._broken)
        while not self._idle.empty():
            self._idle.get().close()

    async def _try_to_assemble(self) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._assemble)

    def _assemble(self) -> bool:
        """Write what can be written; return whether some snapshot still lacks shards."""
        begun = time.perf_counter()
        with self._connected() as client:
            made, waiting = assemble_ready(self._plan, client, self._manifests)
        for manifest in made:
            log.info("Snapshot %s written: content %s", manifest.snapshot, manifest.content)
            self._progress.wrote_part(time.perf_counter() - begun)
        return waiting

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
