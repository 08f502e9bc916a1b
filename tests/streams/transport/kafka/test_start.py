"""What a worker's Kafka client is asked before and while it starts; no broker is needed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from faust.types import TP

from streams.timeouts import timeouts
from streams.transport.faust.app import AppOptions, create_app
from streams.transport.faust.worker_app import WorkerApp


def app(options: AppOptions = AppOptions()) -> WorkerApp:
    return create_app("starting", "kafka://127.0.0.1:9", options=options)


def test_before_the_client_is_there_nothing_is_assigned() -> None:
    async def work() -> None:
        assert app().consumer.assignment() == set()

    asyncio.run(work())


def test_a_stop_waits_for_a_thread_that_has_only_just_begun() -> None:
    async def work() -> None:
        thread: Any = app().delivery._thread  # type: ignore[attr-defined]
        stopped: list[bool] = []
        beginning = SimpleNamespace(is_alive=lambda: True, stop=lambda: stopped.append(True))
        thread._thread = beginning
        stop = asyncio.ensure_future(thread.stop())
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert not stop.done()
        thread._started.set()
        thread._stopped.set()
        await asyncio.wait_for(stop, 10)
        assert stopped == [True]

    asyncio.run(work())


def test_a_stop_does_not_wait_for_a_thread_that_is_dead() -> None:
    async def work() -> None:
        thread: Any = app().delivery._thread  # type: ignore[attr-defined]
        thread._thread = SimpleNamespace(is_alive=lambda: False)
        await asyncio.wait_for(thread.stop(), 10)

    asyncio.run(work())


@pytest.mark.parametrize("session", [6.0, 60.0, 90.0, 91.0, 120.0, 1800.0, 86_400.0])
def test_a_client_can_be_made_with_every_session_that_settings_allow(session: float) -> None:
    found = timeouts(session, 0.0)

    async def made(options: AppOptions) -> Any:
        starting = app(options)
        thread: Any = starting.delivery._thread  # type: ignore[attr-defined]
        client = thread._create_worker_consumer(starting.transport)
        await client.stop()
        return client

    client = asyncio.run(made(AppOptions(session, found.heartbeat, found.rebalance, found.request)))
    assert client._session_timeout_ms == session * 1000
    assert client._request_timeout_ms >= client._session_timeout_ms
    asyncio.run(made(AppOptions(session=session)))


class Refusing:
    """aiokafka's consumer of one partition, whose commits fail as they are told to."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def commit(self, offsets: Any) -> None:
        raise self._error


def commit(error: Exception) -> tuple[list[int], WorkerApp, bool]:
    """Return the statuses with which a worker left at a commit, and whether its thread crashed."""
    left: list[int] = []

    async def work() -> tuple[WorkerApp, bool]:
        starting = app(AppOptions(leave=left.append))
        thread: Any = starting.delivery._thread  # type: ignore[attr-defined]
        thread._consumer = Refusing(error)
        thread.assignment = lambda: {PLACE}
        assert not await thread._commit({PLACE: 3})
        await asyncio.sleep(0)  # it is called from another thread
        return starting, thread.crashed

    return left, *asyncio.run(work())


PLACE = TP("t", 0)
NO_RIGHT = "Kafka at 127.0.0.1:9, group starting: a right to the topic is missing"


def test_a_right_that_is_gone_at_a_commit_ends_the_worker_and_leaves_a_thread_that_stops() -> None:
    left, worker, crashed = commit(errors.TopicAuthorizationFailedError("t"))
    assert (left, crashed) == ([2], False)
    assert str(worker.failure).startswith(NO_RIGHT)
    left, worker, crashed = commit(errors.UnknownError("odd"))
    assert (left, crashed, worker.failure) == ([], True, None)


def test_a_right_that_is_gone_at_a_fetch_ends_the_worker() -> None:
    left: list[int] = []

    async def work(error: Exception) -> WorkerApp:
        starting = app(AppOptions(leave=left.append))

        async def refused(*_: Any) -> None:
            raise error

        starting.delivery._thread.getmany = refused  # type: ignore[attr-defined]
        with pytest.raises(type(error)):
            await starting.consumer._getmany({PLACE}, 1.0)  # type: ignore[attr-defined]
        return starting

    assert asyncio.run(work(errors.UnknownError("odd"))).failure is None
    assert left == []
    lost = asyncio.run(work(errors.TopicAuthorizationFailedError("t"))).failure
    assert str(lost).startswith(NO_RIGHT)
    assert left == [2]


class Offsets:
    """aiokafka's consumer of one partition: what its group committed, and where it was sent."""

    def __init__(self) -> None:
        self.sought: list[tuple[Any, int]] = []

    def assignment(self) -> set[Any]:
        return {PLACE}

    async def committed(self, place: Any) -> int | None:
        return {0: 5, 1: None}[place.partition]

    def seek(self, place: Any, offset: int) -> None:
        self.sought.append((place, offset))


def test_committed_offsets_come_by_partition_and_only_what_is_held_is_sought() -> None:
    async def work() -> None:
        thread: Any = app().delivery._thread  # type: ignore[attr-defined]
        thread._consumer = held = Offsets()
        other = TP("t", 1)
        assert await thread._committed([PLACE, other]) == {PLACE: 5, other: None}
        thread.call_thread = lambda call, *given: call(*given)  # as the thread's loop does
        assert await thread.committed([other]) == {other: None}
        await thread.seek_there(PLACE, 4)
        await thread.seek_there(other, 4)
        assert [(place.partition, offset) for place, offset in held.sought] == [(0, 4)]

    asyncio.run(work())
