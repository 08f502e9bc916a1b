"""Tests of the thread that aiokafka lives in."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError

from streams.transport.faust.app import AppOptions, create_app
from streams.transport.kafka.faust_transport import ContiguousKafkaConsumer


class LostConnection:
    """aiokafka's client, whose connections are gone."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.closed = False

    async def send(self, *_: Any) -> Any:
        self.asked.set()
        raise KafkaConnectionError

    async def close(self) -> None:
        self.closed = True


def test_a_stop_just_after_a_fetch_failed_closes_the_client() -> None:
    async def work() -> None:
        app = create_app("g", "kafka://localhost:1", options=AppOptions(leave=lambda _: None))
        consumer = app.consumer
        assert isinstance(consumer, ContiguousKafkaConsumer)
        thread, client = consumer._thread, LostConnection()
        fetcher = Fetcher.__new__(Fetcher)
        fetcher._client, fetcher._retry_backoff, fetcher._fetch_waiters = client, 60.0, set()
        fetcher._fetch_task = asyncio.ensure_future(asyncio.sleep(60))
        fetcher._invalidate_preferred_read_replica_for_node = lambda *_: None
        nothing = SimpleNamespace(topics=[])
        fetch = asyncio.ensure_future(fetcher._proc_fetch_request(None, 1, nothing))
        other = asyncio.ensure_future(asyncio.sleep(60))
        fetcher._pending_tasks = [fetch, other]
        held = AIOKafkaConsumer.__new__(AIOKafkaConsumer)
        held._closed, held._coordinator, held._fetcher, held._client = False, None, fetcher, client
        thread._consumer = held
        await client.asked.wait()
        await asyncio.wait_for(thread.on_thread_stop(), 10)
        assert client.closed
        assert fetch.done()
        assert other.cancelled()

    asyncio.run(work())
