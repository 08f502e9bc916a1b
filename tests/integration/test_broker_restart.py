"""A worker outlives its broker: kill -9 of Kafka, and the same one again."""

import asyncio

import pytest

from millrace.local_kafka import NativeKafka
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions, serve
from tests.integration.counting import (
    Names,
    counting_app,
    create_topics,
    expected,
    is_done,
    publish,
    totals,
)

SHARDS = 2
NUMBERS = range(2000)


@pytest.mark.kafka
def test_counts_are_exact_over_a_broker_restart(native_kafka: NativeKafka, prefix: str) -> None:
    names, url = Names(prefix), native_kafka.url
    client = connect(url)
    create_topics(client, names, SHARDS)
    publish(client, names, SHARDS, NUMBERS[:1000])
    client.close()

    async def work() -> None:
        ended = asyncio.Event()
        options = AppOptions(session=6.0, heartbeat=0.5, commit_interval=0.2)
        app, counter = counting_app(url, names, SHARDS, options)
        served = asyncio.create_task(serve([app], ended.is_set, poll=0.05))
        async with asyncio.timeout(60):
            while not any(state.count for state in counter.states.values()):
                await asyncio.sleep(0.01)
        await asyncio.to_thread(native_kafka.kill)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(native_kafka.start)
        await asyncio.to_thread(_finish)
        ended.set()
        await served

    def _finish() -> None:
        with_broker = connect(url)
        publish(with_broker, names, SHARDS, NUMBERS[1000:])
        while not is_done(with_broker, names):
            pass
        assert totals(with_broker, names) == expected(SHARDS, NUMBERS)
        with_broker.close()

    asyncio.run(asyncio.wait_for(work(), 150))
