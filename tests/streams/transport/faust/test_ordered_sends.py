import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from streams.errors import BrokerError
from streams.transport.faust.ordered_sends import OrderedSends


class StubProducer:
    """Confirms when it is told to; ``busy`` makes a send wait for room, as a full buffer does."""

    should_stop = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.confirmations: list[asyncio.Future[Any]] = []
        self.busy: dict[bytes, float] = {}
        self.refused: set[bytes] = set()

    async def send(self, topic: str, key: Any, value: bytes, *_: Any) -> Awaitable[Any]:
        await asyncio.sleep(self.busy.get(value, 0))
        if value in self.refused:
            raise ValueError("too large")
        self.sent.append(value)
        self.confirmations.append(asyncio.get_running_loop().create_future())
        return self.confirmations[-1]

    async def started(self) -> Any:
        return self


def run(
    work: Callable[[StubProducer, OrderedSends, list[BaseException]], Coroutine[Any, Any, None]],
) -> None:
    async def main() -> None:
        producer, failures = StubProducer(), list[BaseException]()
        await asyncio.wait_for(
            work(producer, OrderedSends(producer.started, failures.append), failures), 10
        )

    asyncio.run(main())


def test_a_send_that_waits_for_room_is_not_overtaken() -> None:
    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        producer.busy = {b"0": 0.05, b"2": 0.02}
        for n in range(5):
            sends.send("t", 0, b"%d" % n)
        await asyncio.sleep(0.2)
        assert producer.sent == [b"0", b"1", b"2", b"3", b"4"]

    run(work)


def test_a_future_is_done_when_the_record_is_confirmed() -> None:
    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        sent = sends.send("t", 0, b"a")
        await asyncio.sleep(0.01)
        assert not sent.done()
        producer.confirmations[0].set_result("metadata")
        assert await sent == "metadata"  # type: ignore[comparison-overlap]

    run(work)


def test_after_a_late_failure_nothing_is_sent_any_more() -> None:
    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        first, second = sends.send("t", 3, b"a"), sends.send("t", 3, b"bb")
        await asyncio.sleep(0.01)
        producer.confirmations[1].set_exception(OSError("gone"))
        with pytest.raises(BrokerError, match=r"2 bytes for topic t, partition 3, was not.*gone"):
            await second
        third = sends.send("t", 3, b"c")
        with pytest.raises(BrokerError):
            await third
        assert producer.sent == [b"a", b"bb"]
        assert len(failures) == 1
        producer.confirmations[0].set_result("metadata")
        assert await first == "metadata"  # type: ignore[comparison-overlap]

    run(work)


def test_what_waits_behind_a_refused_record_fails_with_it() -> None:
    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        producer.refused = {b"b"}
        futures = [sends.send("t", 0, value) for value in (b"a", b"b", b"c", b"d")]
        done, _ = await asyncio.wait(futures[1:])
        assert all(isinstance(future.exception(), BrokerError) for future in done)
        assert producer.sent == [b"a"]
        assert len(failures) == 1

    run(work)


def test_sends_to_a_stopped_producer_are_cancelled() -> None:
    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        producer.should_stop = True
        sent = [sends.send("t", 0, b"a"), sends.send("t", 0, b"b")]
        await asyncio.wait(sent)
        assert all(each.cancelled() for each in sent)
        assert not failures

    run(work)


def test_a_wait_for_a_record_whose_delivery_is_cancelled_ends_too() -> None:
    """So a client does with what it has not sent when it stops."""

    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        sent = sends.send("t", 0, b"a")
        await asyncio.sleep(0.01)
        producer.confirmations[0].cancel()
        await asyncio.wait({sent}, timeout=5)
        assert sent.cancelled()
        assert not failures

    run(work)


@pytest.mark.parametrize("outcome", ["stored", "failed", "cancelled"])
def test_a_confirmation_that_nobody_waits_for_any_more_disturbs_nobody(outcome: str) -> None:
    async def work(
        producer: StubProducer, sends: OrderedSends, failures: list[BaseException]
    ) -> None:
        unforeseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unforeseen.append(what))
        sent = sends.send("t", 0, b"a")
        await asyncio.sleep(0.01)
        sent.cancel()
        delivery = producer.confirmations[0]
        if outcome == "stored":
            delivery.set_result("metadata")
        elif outcome == "failed":
            delivery.set_exception(OSError("gone"))
        else:
            delivery.cancel()
        await asyncio.sleep(0.01)
        assert sent.cancelled()
        assert (unforeseen, failures) == ([], [])

    run(work)
