"""What a worker's Kafka client is asked before and while it starts; no broker is needed."""

import asyncio
from typing import Any

import pytest

from streams.timeouts import timeouts
from streams.transport.faust.app import AppOptions, create_app
from streams.transport.faust.worker_app import WorkerApp


def app(options: AppOptions = AppOptions()) -> WorkerApp:
    return create_app("starting", "kafka://127.0.0.1:9", options=options)


def test_before_the_client_is_there_nothing_is_assigned() -> None:
    async def work() -> None:
        assert app().consumer.assignment() == set()

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
