"""Serving apps: they start, end and are told of it, whatever state they are in."""

import asyncio

import pytest

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
