"""What an agent does with records that it cannot process."""

from typing import Any

from faust.types import EventT

from consumers.health.breaker import Breaker
from consumers.health.limits import Limits
from consumers.plan import Plan
from streams import topics
from streams.deadletters import Origin, Refusal, headers
from streams.errors import RecordError, TooManyDeadLettersError
from streams.monitoring import events
from streams.transport.faust.worker_app import WorkerApp


class Refusals:
    """The dead letters of one app, and the breaker that ends the worker when they are too many."""

    def __init__(self, app: WorkerApp, plan: Plan, stage: str, limits: Limits) -> None:
        self._app = app
        self._plan = plan
        self._stage = stage
        self.breaker = Breaker(limits)

    async def settle(self, event: EventT[Any], error: RecordError | None) -> None:
        """Count a record. A refused one is a stored dead letter when this returns.

        Nothing that it causes may be sent before: who sees its tombstone must find it among the
        dead letters. When a limit is passed the worker ends in good order: this record is one of
        those that are acknowledged first, so that the next start goes on behind it.
        """
        if error is not None:
            refusal = self._refusal(event, error)
            await self._app.send_record(
                topics.DEAD_LETTERS.name,
                0,
                event.message.value,
                event.message.key,
                headers(refusal),
            )
            self._say(refusal)
        self.breaker = self.breaker.after(event.message.partition, error is not None)
        if error is not None and (verdict := self.breaker.verdict()) is not None:
            self._app.end(TooManyDeadLettersError(f"{verdict}; the last one: {error}"))

    def _say(self, refusal: Refusal) -> None:
        origin = refusal.origin
        events.say(
            events.DEAD_LETTER,
            side=self._stage,
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            error=refusal.error,
            cause=refusal.message,
        )

    def _refusal(self, event: EventT[Any], error: RecordError) -> Refusal:
        message, own = event.message, self._app.access.own
        timestamp = int((message.timestamp or 0) * 1000)
        return Refusal(
            origin=Origin(own(message.topic), message.partition, message.offset, timestamp),
            error=type(error).__name__,
            message=str(error),
            stage=self._stage,
            app=own(self._app.conf.id),
            run=self._plan.run.name,
            run_id=self._plan.id,
        )
