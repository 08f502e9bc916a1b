"""Serving apps: they start, end and are told of it, whatever state they are in."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from streams.errors import AccessError
from streams.transport.faust.app import serve


class HalfStarted:
    """An app whose start waits for something that never comes, as one that is stopped early may."""

    crashed = False
    reason: BaseException | None = None
    failure: BaseException | None = None

    def __init__(self) -> None:
        self.stopped = False

    async def start(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True

    def missing_right(self, error: BaseException) -> AccessError | None:
        return AccessError("no right") if isinstance(error, PermissionError) else None


def test_an_app_that_is_stopped_while_it_starts_is_not_waited_for() -> None:
    app = HalfStarted()

    async def work() -> None:
        async with asyncio.timeout(5):
            await serve([app], until=lambda: True)  # type: ignore[list-item]

    asyncio.run(work())
    assert app.stopped


def test_stopping_is_announced_and_a_failure_is_raised() -> None:
    app = HalfStarted()
    app.reason = app.failure = ValueError("the disk is full")
    told: list[str] = []
    with pytest.raises(ValueError, match="the disk is full"):
        asyncio.run(serve([app], stopping=lambda: told.append("now")))  # type: ignore[list-item]
    assert told == ["now"]


def test_a_right_that_is_missing_is_said_instead_of_the_librarys_error() -> None:
    app = HalfStarted()
    app.reason = app.failure = PermissionError("[Error 30] ...")
    with pytest.raises(AccessError, match="no right"):
        asyncio.run(serve([app]))  # type: ignore[list-item]


def test_a_worker_is_stopped_by_sigterm_and_hears_of_it_no_longer_than_it_serves() -> None:
    app = HalfStarted()

    async def work() -> None:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await serve([app], poll=60.0)  # type: ignore[list-item]

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(work())
    assert app.stopped
    assert signal.getsignal(signal.SIGTERM) == before


def test_apps_may_be_served_beside_the_main_thread() -> None:
    app = HalfStarted()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, serve([app], until=lambda: True)).result(20)  # type: ignore[list-item]
    assert app.stopped
