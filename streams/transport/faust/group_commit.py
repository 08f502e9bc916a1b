"""Group commit: events are acknowledged once everything they caused is durable."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from faust.types import EventT

from streams.transport.faust.flush_interval import FlushInterval, steady
from streams.transport.faust.worker_app import WorkerApp

Caused = Iterable[asyncio.Future[Any]]


class GroupCommit:
    """Collects events in order; flushes every ``records`` events or ``seconds``.

    With a ``pace`` the time between flushes follows from how long they take, beginning with the
    shortest; ``interval`` is what holds now.

    A flush calls ``write``, which sends what is still unwritten and returns the futures; waits for
    these and the futures given with the events; then acknowledges the events in order. A failure
    is final: nothing is acknowledged any more and the process ends. When the flow of records is
    suspended the flush comes at once, since Faust's rebalance waits without limit for started
    events.
    """

    def __init__(
        self,
        app: WorkerApp,
        write: Callable[[], Awaitable[Caused]] | None = None,
        records: int = 32,
        seconds: float = 0.5,
        pace: FlushInterval | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._write = write
        self._records = records
        self.pace = steady(seconds) if pace is None else pace
        self._clock = clock
        self.interval = self.pace.least
        self._pending: list[tuple[EventT[Any], tuple[asyncio.Future[Any], ...]]] = []
        self._lock = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None
        self._soon: asyncio.Task[None] | None = None
        self._hurried = False

    async def add(self, event: EventT[Any], futures: Caused = ()) -> None:
        """Take a processed event and the futures of what it caused; may flush before it returns."""
        # From here on only its place counts, and the next flush may be minutes away.
        event.message.value = None
        event.value = None
        self._pending.append((event, tuple(futures)))
        if len(self._pending) >= self._records or not self._app.delivery.flow_active:
            await self.flush()
        elif self._timer is None or self._timer.done():
            self._timer = asyncio.get_running_loop().create_task(self._flush_later())

    async def flush(self) -> None:
        """Make durable and acknowledge everything added so far."""
        async with self._lock:
            group, self._pending = self._pending, []
            if not group or self._app.failure is not None:
                return
            begun = self._clock()
            try:
                written = await self._write() if self._write is not None else ()
                caused = [future for _, futures in group for future in futures]
                await asyncio.gather(*caused, *written)
            except Exception as error:
                self._app.fatal(error)
                return
            for event, _ in group:
                event.ack()
            self.interval = self.pace.after(self._clock() - begun)

    def flush_soon(self) -> None:
        """Have what was added so far flushed now, beside what comes next."""
        self._hurried = True
        if self._soon is None or self._soon.done():
            self._soon = asyncio.get_running_loop().create_task(self._flush_hurried())

    def clear(self) -> None:
        """Forget what was added; call it when an assignment begins, along with the overlay."""
        self._pending = []

    async def _flush_later(self) -> None:
        # Until nothing is left: what came during a flush has no timer of its own.
        while self._pending:
            suspended = asyncio.ensure_future(self._app.delivery.suspend_flow.wait())
            try:
                await asyncio.wait({suspended}, timeout=self.interval)
            finally:
                suspended.cancel()
            await self.flush()

    async def _flush_hurried(self) -> None:
        # Whoever hurries during a flush may have added something that it does not take along.
        while self._hurried:
            self._hurried = False
            await self.flush()
