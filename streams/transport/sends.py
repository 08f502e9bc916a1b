"""Ordered, final sends of an agent's records."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from faust.types.transports import ProducerT
from faust.types.tuples import RecordMetadata

from streams.transport.client import Headers

Confirmation = asyncio.Future[RecordMetadata]


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    partition: int
    value: bytes | None
    key: bytes | None
    headers: Headers
    confirmed: Confirmation


class Sends:
    """Hands records to a producer in the order they came; the first failure is the end.

    Not through Faust's buffer: its flush gives up after 0.1 s without progress and a failed send
    is only logged. ``failed`` is called once with the first error, and every later send fails.
    """

    def __init__(
        self, producer: Callable[[], ProducerT], failed: Callable[[BaseException], None]
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
                delivery = asyncio.ensure_future(
                    await self._producer().send(
                        item.topic,
                        item.key,
                        item.value,
                        item.partition,
                        None,
                        list(item.headers),
                    )
                )
            except Exception as error:
                self._fail(item.confirmed, error)
            else:
                delivery.add_done_callback(partial(self._settle, item.confirmed))

    def _settle(self, confirmed: Confirmation, delivery: Confirmation) -> None:
        if confirmed.done():
            return
        if delivery.cancelled():
            confirmed.cancel()
        elif (error := delivery.exception()) is not None:
            self._fail(confirmed, error)
        else:
            confirmed.set_result(delivery.result())

    def _fail(self, confirmed: Confirmation, error: BaseException) -> None:
        first = self.error is None
        self.error = self.error or error
        confirmed.set_exception(error)
        while self._queue:
            self._queue.popleft().confirmed.set_exception(error)
        if first:
            self._failed(error)


def _looked_at(confirmed: Confirmation) -> None:
    if not confirmed.cancelled():
        confirmed.exception()  # else asyncio complains where nobody waits for this one
