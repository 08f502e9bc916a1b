"""Faust's transport on Apache Kafka: aiokafka with our consumer and an idempotent producer."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import ConsumerT, ProducerT

from streams.transport.faust.contiguous_consumer import ContiguousConsumer
from streams.transport.faust.worker_app import WorkerApp

_FETCH_WAIT_MILLISECONDS = 200
_BEGINNING_POLL = 0.01


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread that aiokafka lives in."""

    async def stop(self) -> None:
        """Stop; a thread that has only just begun is waited for, where mode leaves it to itself."""
        while self._thread is not None and self._thread.is_alive() and not self._started.is_set():
            await asyncio.sleep(_BEGINNING_POLL)
        await super().stop()

    async def on_thread_stop(self) -> None:
        """Stop the client; a fetch that waits to be tried again must not end this thread instead.

        aiokafka cancels its fetches and awaits them, and one that has just failed passes that on.
        """
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            if cast(asyncio.Task[Any], asyncio.current_task()).cancelling():
                raise
            client = self._ensure_consumer()
            fetches = client._fetcher._pending_tasks
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
            await client._client.close()

    def assignment(self) -> set[TP]:
        """Return the assigned partitions, none before the client is there; Faust fails then."""
        return set() if self._consumer is None else super().assignment()

    async def crash(self, reason: BaseException) -> None:
        """End the worker if a right was taken from it: a stop could not commit and would not end.

        The client's thread goes on, since whoever stops it waits for its answers.
        """
        app = cast(WorkerApp, self.transport.app)
        if error := app.missing_right(reason):
            self.parent_loop.call_soon_threadsafe(app.fatal, error)
        else:
            await super().crash(reason)

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """Return the group's committed offsets."""
        found: dict[TP, int | None] = await self.call_thread(self._committed, list(tps))
        return found

    async def _committed(self, tps: list[TP]) -> dict[TP, int | None]:
        consumer = self._ensure_consumer()
        offsets = await asyncio.gather(
            *(consumer.committed(driver.ensure_aiokafka_TP(tp)) for tp in tps)
        )
        return dict(zip(tps, offsets, strict=True))

    async def seek_there(self, tp: TP, offset: int) -> None:
        """Seek; Faust does so from the app's thread, under the hands of a fetch in this one."""
        await self.call_thread(self._seek_there, tp, offset)

    async def _seek_there(self, tp: TP, offset: int) -> None:
        if tp in self.assignment():
            self.seek(tp, offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit for the partitions that are still ours; Faust crashes when none is."""
        held = self.assignment()
        ours = {tp: offset for tp, offset in offsets.items() if tp in held}
        return bool(ours) and await super()._commit(ours)

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust sets 1500: a broker answers one connection's requests in turn, so that every
        # question asked at a rebalance waits that long behind a fetch that finds nothing.
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MILLISECONDS
        return consumer


class ContiguousKafkaConsumer(ContiguousConsumer, driver.Consumer):
    """A member of a group on Kafka."""

    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        """Fetch; a right that was taken from the worker ends it."""
        try:
            return await super()._getmany(active_partitions, timeout)
        except Exception as error:
            app = cast(WorkerApp, self.app)
            if (missing := app.missing_right(error)) is not None:
                app.fatal(missing)
            raise

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int | None]:
        """Return the group's committed offsets."""
        return await self._thread.committed(tps)

    async def _seek(self, partition: TP, offset: int) -> None:
        await self._thread.seek_there(partition, offset)


class IdempotentProducer(driver.Producer):
    """Keeps the order of records within a partition, also across the client's own retries."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class KafkaTransport(driver.Transport):
    """Faust on ``exact://host:port``, which is what we make of ``kafka://host:port``."""

    Consumer: ClassVar[type[ConsumerT]] = ContiguousKafkaConsumer
    Producer: ClassVar[type[ProducerT]] = IdempotentProducer
