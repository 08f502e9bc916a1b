import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from streams.transport.faust.flush_interval import FlushInterval
from streams.transport.faust.group_commit import Caused, GroupCommit


class StubDelivery:
    def __init__(self) -> None:
        self.flow_active = True
        self.suspend_flow = asyncio.Event()


class StubApp:
    def __init__(self) -> None:
        self.delivery = StubDelivery()
        self.failure: BaseException | None = None

    def fatal(self, error: BaseException) -> None:
        self.failure = error


class StubEvent:
    def __init__(self, name: int, acked: list[int]) -> None:
        self.name = name
        self.acked = acked
        self.value: bytes | None = b"value"
        self.message = SimpleNamespace(value=self.value)

    def ack(self) -> None:
        self.acked.append(self.name)


def run(work: Callable[[StubApp, list[int]], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(work(StubApp(), []), 10)

    asyncio.run(main())


def make(app: StubApp, **options: Any) -> GroupCommit:
    return GroupCommit(app, **{"records": 3, "seconds": 100.0, **options})  # type: ignore[arg-type]


def test_what_waits_for_a_flush_holds_no_payload() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        event = StubEvent(0, acked)
        await make(app).add(event)  # type: ignore[arg-type]
        assert (event.value, event.message.value, acked) == (None, None, [])

    run(work)


def test_nothing_is_acknowledged_before_its_futures_are_done() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await commits.add(StubEvent(0, acked))  # type: ignore[arg-type]
        await commits.add(StubEvent(1, acked), [future])  # type: ignore[arg-type]
        flush = asyncio.ensure_future(commits.flush())
        await asyncio.sleep(0.01)
        assert acked == []
        future.set_result(None)
        await flush
        assert acked == [0, 1]

    run(work)


def test_what_is_written_at_a_flush_is_awaited_too() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def write() -> Caused:
            return [future]

        commits = make(app, write=write)
        await commits.add(StubEvent(0, acked))  # type: ignore[arg-type]
        flush = asyncio.ensure_future(commits.flush())
        await asyncio.sleep(0.01)
        assert acked == []
        future.set_result(None)
        await flush
        assert acked == [0]

    run(work)


def test_a_failure_is_fatal_and_acknowledges_nothing_then_or_later() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app, records=100)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(OSError("lost"))
        await commits.add(StubEvent(0, acked))  # type: ignore[arg-type]
        await commits.add(StubEvent(1, acked), [future])  # type: ignore[arg-type]
        await commits.flush()
        assert isinstance(app.failure, OSError)
        await commits.add(StubEvent(2, acked))  # type: ignore[arg-type]
        await commits.flush()
        assert acked == []

    run(work)


def test_a_full_group_is_flushed_at_once() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app)
        for n in range(4):
            await commits.add(StubEvent(n, acked))  # type: ignore[arg-type]
        assert acked == [0, 1, 2]

    run(work)


def test_a_group_that_does_not_fill_is_flushed_in_time() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app, seconds=0.02)
        await commits.add(StubEvent(0, acked))  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        assert acked == [0]

    run(work)


def test_the_interval_follows_from_how_long_a_flush_takes() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        times = iter([10.0, 10.5, 20.0, 20.01, 30.0, 90.0])
        commits = make(app, pace=FlushInterval(0.05, 1.0, 60.0), clock=lambda: next(times))
        found = [commits.interval]
        for n in range(3):
            await commits.add(StubEvent(n, acked))  # type: ignore[arg-type]
            await commits.flush()
            found.append(commits.interval)
        assert found == [1.0, pytest.approx(10.0), 1.0, 60.0]
        assert acked == [0, 1, 2]

    run(work)


def test_a_flow_that_is_suspended_in_a_long_interval_is_not_kept_waiting() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app, records=1000, pace=FlushInterval(least=1000.0, most=1000.0))
        for n in range(500):
            await commits.add(StubEvent(n, acked))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        assert acked == []
        app.delivery.suspend_flow.set()
        await asyncio.sleep(0.05)
        assert acked == list(range(500))

    run(work)


def test_what_comes_during_a_flush_is_not_left_behind() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app, seconds=0.02)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await commits.add(StubEvent(0, acked), [future])  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        await commits.add(StubEvent(1, acked))  # type: ignore[arg-type]
        future.set_result(None)
        await asyncio.sleep(0.1)
        assert acked == [0, 1]

    run(work)


def test_what_is_hurried_is_flushed_beside_what_comes_next() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app)
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await commits.add(StubEvent(0, acked), [first])  # type: ignore[arg-type]
        commits.flush_soon()
        await asyncio.sleep(0.01)
        await commits.add(StubEvent(1, acked))  # type: ignore[arg-type]
        commits.flush_soon()  # while the first flush still waits
        await asyncio.sleep(0.01)
        assert acked == []
        first.set_result(None)
        await asyncio.sleep(0.01)
        assert acked == [0, 1]

    run(work)


def test_a_suspended_flow_is_not_kept_waiting() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app)
        await commits.add(StubEvent(0, acked))  # type: ignore[arg-type]
        app.delivery.flow_active = False
        app.delivery.suspend_flow.set()
        await asyncio.sleep(0.05)
        assert acked == [0]
        await commits.add(StubEvent(1, acked))  # type: ignore[arg-type]
        assert acked == [0, 1]

    run(work)


def test_cleared_events_are_never_acknowledged() -> None:
    async def work(app: StubApp, acked: list[int]) -> None:
        commits = make(app)
        await commits.add(StubEvent(0, acked))  # type: ignore[arg-type]
        commits.clear()
        await commits.flush()
        assert acked == []

    run(work)
