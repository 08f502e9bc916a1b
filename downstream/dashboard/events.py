"""Server-sent events: what is open and how far runs are, told to pages as it changes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from downstream.dashboard.progress import RunProgress
from downstream.dashboard.watch import Shelf

_INTERVAL = 1.0
_QUIET = 15.0
_MOST = 200


def state(shelf: Shelf, runs: tuple[RunProgress, ...]) -> dict[str, Any]:
    """Return what pages follow: the open snapshot of each run, and runs that are not finished."""
    opened = shelf.snapshots.items()
    return {
        "snapshots": {run: snapshot.manifest.snapshot for run, snapshot in opened},
        "progress": [asdict(run) for run in runs],
    }


class Events:
    """Sends the state to all who listen, at most ``_MOST`` at a time."""

    def __init__(self, now: Callable[[], dict[str, Any]], interval: float = _INTERVAL) -> None:
        self._now = now
        self._interval = interval
        self._listening = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let all go who listen."""
        self._closing.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Send the state, and again whenever it changed, until the page is closed."""
        if self._listening >= _MOST:
            raise web.HTTPServiceUnavailable(reason="too many pages are open")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        self._listening += 1
        try:
            await self._send(response)
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._listening -= 1
        return response

    async def _send(self, response: web.StreamResponse) -> None:
        sent, quiet = "", 0.0
        while not self._closing.is_set():
            data = json.dumps(self._now(), allow_nan=False)
            if data != sent:
                await response.write(f"data: {data}\n\n".encode())
                sent, quiet = data, 0.0
            elif quiet >= _QUIET:  # so that a page that is gone is noticed
                await response.write(b": still here\n\n")
                quiet = 0.0
            quiet += self._interval
            try:
                await asyncio.wait_for(self._closing.wait(), self._interval)
            except TimeoutError:
                continue
