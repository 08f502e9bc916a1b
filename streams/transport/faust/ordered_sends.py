"""Ordered sends of an agent's records: the first that fails is the last."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from faust.types.transports import ProducerT
from faust.types.tuples import RecordMetadata

from streams.errors import AccessError, BrokerError
from streams.transport.client import Headers
from streams.transport.missing_right import missing_right

Confirmation = asyncio.Future[RecordMetadata]


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    partition: int
    value: bytes | None
    key: bytes | None
    headers: Headers
    confirmed: Confirmation


class OrderedSends:
    """Hands records to a producer in the order they came; the first failure is the end.

    Not through Faust's buffer: its flush gives up after 0.1 s without progress and a failed send
    is only logged. ``producer`` returns the started producer. ``failed`` is called once with the
    first error, and every later send fails. What is sent to a stopped producer is cancelled.
    """

    def __init__(
        self,
        producer: Callable[[], Awaitable[ProducerT]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._producer = producer
        self._failed = failed
        self._queue: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> Confirmation:
        """Return a future that is done when the broker has stored the record."""
        loop = asyncio.get_running_loop()
        confirmed: Confirmation = loop.create_future()
        confirmed.add_done_callback(_looked_at)
        if self.error is not None:
            confirmed.set_exception(self.error)
            return confirmed
        self._queue.append(_Waiting(topic, partition, value, key, headers, confirmed))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._hand_over())
        return confirmed

    async def _hand_over(self) -> None:
        # One task: where the client's buffer is full, waiting senders would overtake each other.
        while self._queue and self.error is None:
            item = self._queue.popleft()
            try:
                producer = await self._producer()
                if producer.should_stop:
                    item.confirmed.cancel()
                    continue
                delivery = asyncio.ensure_future(
                    await producer.send(
                        item.topic,
                        item.key,
                        item.value,
                        item.partition,
                        None,
                        list(item.headers),
                    )
                )
            except Exception as error:
                self._fail(item, error)
            else:
                delivery.add_done_callback(partial(self._settle, item))

    def _settle(self, item: _Waiting, delivery: Confirmation) -> None:
        if item.confirmed.done():
            return
        if delivery.cancelled():
            item.confirmed.cancel()
        elif (error := delivery.exception()) is not None:
            self._fail(item, error)
        else:
            item.confirmed.set_result(delivery.result())

    def _fail(self, item: _Waiting, cause: BaseException) -> None:
        missing = missing_right(cause)
        error = (AccessError if missing else BrokerError)(
            f"a record of {len(item.value or b'')} bytes for topic {item.topic}, partition "
            f"{item.partition}, was not stored: {missing or cause}"
        )
        error.__cause__ = cause
        first = self.error is None
        self.error = self.error or error
        for waiting in (item, *self._queue):
            if not waiting.confirmed.done():
                waiting.confirmed.set_exception(error)
        self._queue.clear()
        if first:
            self._failed(error)


def _looked_at(confirmed: Confirmation) -> None:
    if not confirmed.cancelled():
        confirmed.exception()  # else asyncio complains where nobody waits for this one
