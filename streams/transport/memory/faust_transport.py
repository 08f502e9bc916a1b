"""Faust's transport on the embedded broker: ``memory://name``."""

import asyncio
import math
from collections.abc import Awaitable, Iterable
from typing import Any, ClassVar, cast

from faust.transport.base import Transport
from faust.transport.producer import Producer
from faust.types import TP, AppT, HeadersArg
from faust.types.transports import ConsumerT, ProducerT
from faust.types.tuples import RecordMetadata
from yarl import URL

from streams.transport.client import StoredRecord
from streams.transport.faust.worker_app import WorkerApp
from streams.transport.memory.broker import MemoryBroker, broker
from streams.transport.memory.consumer import CREATE_TIME, MemoryConsumer


class MemoryProducer(Producer):
    """Appends to the embedded broker; only faults make it wait."""

    transport: "MemoryTransport"

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Append a record and return the future of its confirmation."""
        target, loop = self.transport.broker, asyncio.get_running_loop()
        confirmed: asyncio.Future[RecordMetadata] = loop.create_future()
        if self.transport.cut:
            return confirmed
        pairs = tuple(cast(Iterable[tuple[str, bytes]], headers or ()))
        at = partition or 0
        milliseconds = None if timestamp is None else int(timestamp * 1000)
        try:
            offset = target.append(topic, at, key, value, pairs, milliseconds)
            delay = target.faults.confirm(StoredRecord(topic, at, offset, 0, key, value, pairs))
        except Exception as error:
            confirmed.set_exception(error)
            return confirmed
        stored = RecordMetadata(topic, at, TP(topic, at), offset, None, CREATE_TIME)
        if not delay:
            confirmed.set_result(stored)
        elif delay < math.inf:
            loop.call_later(delay, _confirm, confirmed, stored)
        return confirmed

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Append a record."""
        return await (await self.send(*args, **kwargs))

    async def flush(self) -> None:
        """Empty Faust's own buffer; ours has none."""
        await self.buffer.flush()

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: topics are created by our own client."""

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Partition 0; nothing of ours is placed by key."""
        return TP(topic, 0)

    def supports_headers(self) -> bool:
        """Headers are supported."""
        return True


def _confirm(confirmed: asyncio.Future[RecordMetadata], stored: RecordMetadata) -> None:
    if not confirmed.done():
        confirmed.set_result(stored)


class MemoryTransport(Transport):
    """Faust on ``memory://name``. ``cut`` takes the app off its broker, as a kill would."""

    Consumer: ClassVar[type[ConsumerT]] = MemoryConsumer
    Producer: ClassVar[type[ProducerT]] = MemoryProducer
    driver_version = "memory"

    def __init__(
        self, url: list[URL], app: AppT, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(url, app, loop)
        # Not the address' host, which is in small letters whatever the name is.
        self.broker: MemoryBroker = broker(cast(WorkerApp, app).access.place)
        self.cut = False


async def kill(app: WorkerApp) -> None:
    """End an app on the embedded broker as a kill -9 would: cut off first, then torn down.

    What it did not send, commit or hear of is lost; its group misses it when its session is over.
    """
    cast(MemoryTransport, app.transport).cut = True
    app.delivery.abandon()
    await app.stop()
