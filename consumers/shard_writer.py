"""Writes parts of snapshots beside ingestion: states are frozen, so a thread may take its time."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from consumers.progress import Progress
from consumers.snapshots import FINAL, assemble_ready, write_shard
from streams.partials import BucketState
from streams.plan import Plan
from streams.transport.client import Client
from streams.transport.connect import connect

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


class ShardWriter:
    """Writes parts in one thread; the owner of shard 0 also writes the run manifests."""

    def __init__(
        self, plan: Plan, broker: str, failed: Callable[[BaseException], None], progress: Progress
    ) -> None:
        self._plan = plan
        self._broker = broker
        self._failed = failed
        self._progress = progress
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot")
        self._client: Client | None = None
        self._finals: set[int] = set()
        self._owns_first = False
        self._to_assemble = False

    def owned(self, shards: Sequence[int]) -> None:
        """Note which shards this worker owns from now on."""
        self._owns_first = 0 in shards
        self._to_assemble = True

    def write_final(self, shard: int, states: Sequence[BucketState]) -> None:
        """Write the part of a shard that is complete, once."""
        if shard not in self._finals:
            self._finals.add(shard)
            self.write(FINAL, shard, states)

    def write(self, snapshot: str, shard: int, states: Sequence[BucketState]) -> None:
        """Write a part of a snapshot in the background; a failure ends the worker."""
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, self._write, snapshot, shard, list(states))
        writing.add_done_callback(self._wrote)

    def _write(self, snapshot: str, shard: int, states: Sequence[BucketState]) -> None:
        begun = time.perf_counter()
        write_shard(self._plan, snapshot, shard, states, self._connected())
        self._progress.wrote_part(time.perf_counter() - begun)
        log.info("Part written: snapshot %s, shard %d", snapshot, shard)

    def _wrote(self, writing: "asyncio.Future[None]") -> None:
        if not writing.cancelled() and (error := writing.exception()) is not None:
            self._failed(error)
        self._to_assemble = True

    async def assemble_forever(self) -> None:
        """Write run manifests as their shards' parts come in, while shard 0 is ours."""
        try:
            while True:
                await asyncio.sleep(_POLL_SECONDS)
                if self._owns_first and self._to_assemble:
                    self._to_assemble = False
                    await self._try_to_assemble()
        except Exception as error:
            self._failed(error)
        finally:
            self._thread.submit(self._close)

    async def _try_to_assemble(self) -> None:
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(self._thread, self._assemble):
            self._to_assemble = True

    def _assemble(self) -> bool:
        """Write what can be written; return whether some snapshot still lacks shards."""
        begun = time.perf_counter()
        made, waiting = assemble_ready(self._plan, self._connected())
        for manifest in made:
            log.info("Snapshot %s written: content %s", manifest.snapshot, manifest.content)
            self._progress.wrote_part(time.perf_counter() - begun)
        return waiting

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._broker)
        return self._client

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
