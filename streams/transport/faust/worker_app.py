"""The Faust app of a worker: how it starts, fails and leaves."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, cast

import faust
from faust.types import TP
from faust.types.transports import ProducerT

from streams.errors import AccessError
from streams.transport.access import BrokerAccess
from streams.transport.client import Headers
from streams.transport.faust.contiguous_consumer import ContiguousConsumer, StartPositions
from streams.transport.faust.ordered_sends import Confirmation, OrderedSends
from streams.transport.faust.shared_queue import SharedQueue
from streams.transport.missing_right import missing_right

log = logging.getLogger(__name__)


def leave(status: int) -> None:
    """End the process at once: no commit, no farewell to the group, nothing sent any more."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class WorkerApp(faust.App):
    """A Faust app whose sends are ordered and final and whose start positions are its state's.

    app_id: without the broker's prefix, as every name that comes in here. access: the broker, and
    how to reach it. positions: where source partitions start; set
    it before the app starts. failure: the error that ended the app, None while all is well.
    ending: why it ends in good order, None while it goes on.
    """

    access: BrokerAccess
    positions: StartPositions | None
    failure: BaseException | None
    ending: BaseException | None

    def __init__(
        self,
        app_id: str,
        *,
        access: BrokerAccess,
        positions: StartPositions | None = None,
        leave: Callable[[int], None] = leave,
        **settings: Any,
    ) -> None:
        self.access = access
        self.positions = positions
        self.failure = None
        self.ending = None
        self._leave = leave
        self._let_go = asyncio.Event()
        self._sends = OrderedSends(self._started_producer, self.fatal)
        super().__init__(access.full(app_id), **settings)

    def FlowControlQueue(
        self, maxsize: int | None = None, *, clear_on_resume: bool = False
    ) -> SharedQueue:
        """Return the queue before an agent."""
        return SharedQueue(maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)

    @property
    def delivery(self) -> ContiguousConsumer:
        """The consumer: ``admit``, ``is_next`` and ``seek_back``."""
        return cast(ContiguousConsumer, self.consumer)

    def send_record(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> Confirmation:
        """Send to an explicit partition, in order; the future is done when the record is stored."""
        return self._sends.send(self.access.full(topic), partition, value, key, headers)

    def fatal(self, error: BaseException) -> None:
        """End the process after one line that says why, with the status of the program's errors."""
        if self.failure is None:
            self.failure = error
            log.critical("Worker ends, nothing later is acknowledged: %s", error)
            self._leave(2 if isinstance(error, AccessError) else 1)
            # Where ``leave`` comes back, as in tests, no stop may wait for acknowledgements.
            self.delivery.abandon()

    def end(self, error: BaseException) -> None:
        """Take no more records; what was taken is made durable and acknowledged, then all ends.

        For what speaks against going on and not against what was done: a start goes on behind it.
        Whoever serves the app stops it.
        """
        if self.failure is None and self.ending is None:
            self.ending = error
            log.critical("Worker ends, what it took is acknowledged first: %s", error)
            self.delivery.admit_nothing()

    def missing_right(self, error: BaseException) -> AccessError | None:
        """Return what to say of a right on the broker that is missing as an error says, if any."""
        missing = missing_right(error)
        if missing is None:
            return None
        return AccessError(f"Kafka at {self.access.place}, group {self.conf.id}: {missing}")

    @property
    def reason(self) -> BaseException | None:
        """Why the app ended or ends, None while all is well."""
        return self.failure or self.ending

    async def _stop_consumer(self) -> None:
        try:
            await super()._stop_consumer()
        finally:
            self._let_go.set()

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let a rebalance wait until a stop that is under way has made its last commit.

        Faust closes the Kafka client then, from another thread than the client's own: the commit
        is tried for ever, or the client's thread ends half-way.
        """
        if self.should_stop:
            await self._let_go.wait()
        else:
            await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take nothing new while stopping: leaving the group gives it to others."""
        if not self.should_stop:
            await super()._on_partitions_assigned(assigned, generation_id)

    async def _started_producer(self) -> ProducerT:
        if not self.producer.started:
            await self.maybe_start_producer()
        return self.producer

    def _create_directories(self) -> None:
        """Nothing: all state is in memory and in changelogs, so a worker needs no folder."""
