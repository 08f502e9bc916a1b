"""What ends a worker and what does not, look by look, over an app that does nothing by itself."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from faust.types import TP

from consumers.health import watchdog as module
from consumers.health.group_lag import Reading
from consumers.health.limits import Limits
from consumers.health.progress import Progress
from consumers.health.watchdog import Watchdog, Watched, _Seen
from consumers.plan import Plan
from streams import topics
from streams.errors import LostInputError, StallError
from streams.records.partials import BucketState
from streams.transport.access import BrokerAccess
from streams.transport.client import TopicSpec
from streams.transport.connect import connect
from streams.transport.memory.broker import broker, forget
from tests import factories

NAME = "watched-alone"
TOPIC = "partials.test"
LIMITS = Limits(stall=30.0, incomplete=10.0)
IDLE = Reading(0, 5, 5)


@dataclass
class App:
    """Stands where it is told to. assigned: next offset by partition."""

    access: BrokerAccess = BrokerAccess(f"memory://{NAME}", "a.")
    assigned: dict[int, int | None] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def conf(self) -> Any:
        return type("Conf", (), {"id": "a.aggregates.test"})

    @property
    def consumer(self) -> Any:
        return self

    delivery = consumer

    def assignment(self) -> set[TP]:
        return {TP(f"a.{TOPIC}", p) for p in self.assigned} | {TP("a.other", 0)}

    def next_offset(self, tp: TP) -> int | None:
        return self.assigned[tp.partition]

    def fatal(self, error: BaseException) -> None:
        self.errors.append(error)


@dataclass
class Watch:
    """A watchdog and all that it looks at."""

    app: App
    plan: Plan
    dog: Watchdog
    handled: int = 0
    shards: dict[int, Sequence[BucketState]] = field(default_factory=dict)

    async def look(
        self,
        now: float,
        *ours: Reading,
        activations: Reading = IDLE,
        first: dict[int, int] | None = None,
    ) -> None:
        ours = ours or (IDLE,) * 3
        seen = _Seen(dict(enumerate(ours)), {0: activations, 1: activations}, first or {})
        await self.dog._look(now, seen)


def watching(
    work: Callable[[Watch], Any],
    plan: Plan | None = None,
    limits: Limits = LIMITS,
    **changes: Any,
) -> Watch:
    async def run() -> Watch:
        app, given = App(), plan or factories.plan()
        watched = Watched(TOPIC, lambda: watch.handled, lambda: watch.shards)
        dog = Watchdog(app, given, replace(watched, **changes), limits, Progress())  # type: ignore[arg-type]
        watch = Watch(app, given, dog)
        await work(watch)
        dog._thread.shutdown()
        return watch

    return asyncio.run(run())


BUSY = Reading(0, 3, 9)


def test_a_worker_with_lag_that_does_nothing_ends_at_the_limit_and_not_before() -> None:
    async def work(watch: Watch) -> None:
        watch.app.assigned = {0: 3}
        for now in (100.0, 129.9):
            await watch.look(now, BUSY, IDLE, IDLE)
        assert not watch.app.errors
        await watch.look(130.0, BUSY, IDLE, IDLE)

    (error,) = watching(work).app.errors
    assert isinstance(error, StallError)
    assert "no progress for 30 s although 6 records of a.partials.test wait for group" in str(error)


def test_handling_a_record_or_acknowledging_one_is_progress() -> None:
    async def work(watch: Watch) -> None:
        watch.app.assigned = {0: 3}
        await watch.look(100.0, BUSY, IDLE, IDLE)
        watch.handled += 1
        await watch.look(125.0, BUSY, IDLE, IDLE)
        await watch.look(150.0, Reading(0, 4, 9), IDLE, IDLE)
        await watch.look(179.0, Reading(0, 4, 9), IDLE, IDLE)

    assert not watching(work).app.errors


def test_lag_is_that_of_our_partitions_or_of_the_group_while_we_have_none() -> None:
    async def of_others(watch: Watch) -> None:
        watch.app.assigned = {1: 5}
        for now in (100.0, 200.0):
            await watch.look(now, BUSY, IDLE, IDLE)

    async def of_nobody(watch: Watch) -> None:
        for now in (100.0, 200.0):
            await watch.look(now, BUSY, IDLE, IDLE)

    assert not watching(of_others).app.errors
    assert len(watching(of_nobody).app.errors) == 1


@pytest.mark.parametrize(("wanted", "lost"), [(3, True), (4, False), (9, False), (None, False)])
def test_input_that_is_needed_next_and_was_deleted_ends_the_worker(
    wanted: int | None, lost: bool
) -> None:
    async def work(watch: Watch) -> None:
        watch.app.assigned = {1: wanted}
        await watch.look(100.0, IDLE, Reading(4, 4, 4), IDLE)

    errors = watching(work).app.errors
    assert [type(error) for error in errors] == [LostInputError] * lost
    if lost:
        assert (
            "a.partials.test, partition 1: offset 3 is needed, but the log begins at offset 4"
            in (str(errors[0]))
        )
        assert "delete run test" in str(errors[0])


@pytest.fixture
def corpus() -> Any:
    """A corpus of five batches in each partition, and the end."""
    forget(NAME)
    client = connect(BrokerAccess(f"memory://{NAME}", "a."))
    client.create_topics([TopicSpec("tokens.text", 2), TopicSpec(TOPIC, 3)])
    for partition in range(2):
        for sequence in range(6):
            headers = ((topics.SEQUENCE, str(sequence).encode()),)
            broker(NAME).append("a.tokens.text", partition, None, b"x", headers)
    yield client
    client.close()
    forget(NAME)


def states(plan: Plan, shard: int, last: int, batches: int = 5) -> list[BucketState]:
    """Return a shard that has applied everything, but of partition 1 only up to ``last``."""
    made = factories.complete_states(plan, shard)
    return [
        replace(state, chain=state.chain * 0 + [4, last], batches=state.batches * 0 + [5, batches])  # type: ignore[arg-type]
        for state in made
    ]


GAP = "lacks batch 3 of 5, which nobody is going to send"


def incomplete(
    caplog: pytest.LogCaptureFixture,
    client: Any,
    *,
    last: int = 2,
    batches: int = 5,
    until: float = 110.0,
    ours: Reading = IDLE,
    activations: Reading = IDLE,
    ends: bool = False,
) -> tuple[list[BaseException], str]:
    async def work(watch: Watch) -> None:
        watch.shards = {1: states(watch.plan, 1, last, batches)}
        watch.app.assigned = {1: 5}
        watch.dog._client = client
        for now in (100.0, until):
            await watch.look(now, IDLE, ours, IDLE, activations=activations)

    caplog.clear()
    return watching(work, ends_at_gap=ends).app.errors, caplog.text


def test_a_gap_is_named_once_it_has_lasted(corpus: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert GAP in incomplete(caplog, corpus)[1]
    assert GAP not in incomplete(caplog, corpus, until=109.9)[1]
    assert GAP not in incomplete(caplog, corpus, last=4)[1]
    assert GAP not in incomplete(caplog, corpus, batches=-1)[1]  # its end was not seen
    # While something may still come, it is no gap: of ours, or of the activation side.
    assert GAP not in incomplete(caplog, corpus, ours=Reading(0, 4, 5))[1]
    assert GAP not in incomplete(caplog, corpus, activations=Reading(0, 4, 5))[1]


def test_a_gap_ends_the_worker_where_nobody_could_mend_it(
    corpus: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert incomplete(caplog, corpus)[0] == []
    (error,) = incomplete(caplog, corpus, ends=True)[0]
    assert isinstance(error, StallError)
    assert GAP in str(error)


def test_a_gap_whose_batch_was_deleted_ends_the_worker(
    corpus: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broker(NAME).delete_records("a.tokens.text", 1, 4)
    errors, said = incomplete(caplog, corpus)
    assert [type(error) for error in errors] == [LostInputError]
    assert "batch 3 is needed" in str(errors[0])
    assert GAP not in said
    broker(NAME).delete_records("a.tokens.text", 0, 4)
    assert GAP not in incomplete(caplog, corpus, last=4)[1]


def test_what_lies_before_a_cut_corpus_ends_the_worker_though_its_end_was_not_seen(
    corpus: Any,
) -> None:
    broker(NAME).delete_records("a.tokens.text", 1, 4)

    async def work(watch: Watch) -> None:
        watch.shards = {1: states(watch.plan, 1, 2, -1)}
        watch.dog._client = corpus
        for now in (100.0, 110.0):
            await watch.look(now, first={1: 4})

    (error,) = watching(work).app.errors
    assert "batch 3 is needed" in str(error)


def test_a_look_reads_both_groups_and_where_a_cut_corpus_begins(
    corpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.rewind("aggregates.test", {(TOPIC, 1): 0})
    corpus.rewind("activations.test", {("tokens.text", 0): 6, ("tokens.text", 1): 2})
    broker(NAME).append(f"a.{TOPIC}", 1, None, b"x")
    broker(NAME).delete_records("a.tokens.text", 0, 6)
    broker(NAME).delete_records("a.tokens.text", 1, 3)

    async def work(watch: Watch) -> None:
        seen = watch.dog._read()
        assert seen.ours == {0: Reading(0, 0, 0), 1: Reading(0, 0, 1), 2: Reading(0, 0, 0)}
        assert seen.activations == {0: Reading(6, 6, 6), 1: Reading(3, 2, 6)}
        assert seen.first == {0: sys.maxsize, 1: 3}
        open_client = watch.dog._client
        assert open_client is not None
        monkeypatch.setattr(open_client, "close", lambda: closed.append("client"))
        watch.dog._close()

    closed: list[str] = []
    watching(work)
    assert closed == ["client"]


@pytest.mark.parametrize(
    ("limits", "poll"),
    [
        (LIMITS, 2.5),
        (Limits(stall=8.0, incomplete=10.0), 2.0),
        (Limits(stall=0.0, incomplete=0.0), module._POLL_SECONDS),
        (Limits(stall=100.0, incomplete=100.0), module._POLL_SECONDS),
    ],
)
def test_looks_come_often_enough_for_the_shorter_limit(limits: Limits, poll: float) -> None:
    async def work(watch: Watch) -> None:
        assert watch.dog._poll == poll

    watching(work, limits=limits)
