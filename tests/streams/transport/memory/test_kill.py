"""A kill, as the embedded broker plays it: at once, whatever the worker has in its hands."""

import asyncio
from typing import Any

from streams.transport.client import TopicSpec
from streams.transport.connect import connect
from streams.transport.faust.app import AppOptions, create_app, raw_topic
from streams.transport.memory import faust_transport
from streams.transport.memory.broker import broker, forget

NAME = "killed"


def test_a_killed_worker_waits_for_no_record_that_it_has_begun() -> None:
    forget(NAME)
    client = connect(f"memory://{NAME}")
    client.create_topics([TopicSpec("work", 1)])
    with client.sender() as sender:
        sender.send("work", 0, b"never done")

    async def work() -> None:
        app = create_app("worker", f"memory://{NAME}", options=AppOptions(leave=lambda _: None))
        begun = asyncio.Event()

        async def hold(stream: Any) -> None:
            async for event in stream.noack().events():
                await app.delivery.admit(event.message)
                begun.set()

        app.agent(raw_topic(app, "work"), name="hold")(hold)
        serving = asyncio.ensure_future(app.start())
        await asyncio.wait_for(begun.wait(), 30)
        await asyncio.wait_for(faust_transport.kill(app), 10)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert broker(NAME).committed("worker", "work") == {}

    asyncio.run(work())
    forget(NAME)
