"""How fast the workers of a process are, and what is said of that, by a clock set by hand."""

import threading
from typing import Any

import pytest

from consumers.health.progress import Progress, Side, WorkerPosition
from consumers.health.reporting import Reporter, Speed, speed, totals
from consumers.selection.worker import Outcome
from streams.monitoring import events
from tests import factories


def position(side: Side, unread: dict[int, int], shards: int = 0, **more: Any) -> WorkerPosition:
    chains = dict.fromkeys(range(shards), (0,))
    return WorkerPosition(f"{side}.r", "t", more.pop("lag", {}), chains, side, unread, **more)


def sampled(seconds: float = 4.0) -> Progress:
    """Return the progress of a process that has done something on both sides in some seconds."""
    progress = Progress()
    progress.sample(10.0, totals(progress, 1.0))
    for _ in range(8):
        progress.activated(Outcome((), tokens=30, rows=5), 0.5)
        progress.applied(30, 0.1, rows=5)
    progress.sample(10.0 + seconds, totals(progress, 3.0))
    return progress


def test_a_side_is_as_fast_as_it_was_and_done_when_nothing_is_unread() -> None:
    progress = sampled()
    assert speed(progress, "activations") == Speed(10.0, 60.0, 2.0, None)
    progress.note_position(1, position("activations", {0: 5, 1: 3}))
    progress.note_position(2, position("activations", {2: 2}))
    progress.note_position(3, position("aggregates", {0: 100}))
    assert speed(progress, "activations") == Speed(10.0, 60.0, 2.0, 5.0)
    progress.note_position(1, position("activations", {}))
    progress.note_position(2, position("activations", {}))
    assert speed(progress, "activations").eta == 0.0


def test_rows_that_several_shards_count_are_counted_once() -> None:
    progress = sampled()
    progress.note_position(1, position("aggregates", {0: 4}, shards=3))
    progress.note_position(2, position("aggregates", {1: 4}, shards=2))
    assert speed(progress, "aggregates") == Speed(2.0, 12.0, 2.0, 4.0)


def test_nothing_is_known_before_two_samples() -> None:
    assert speed(Progress(), "activations") == Speed(None, None, None, None)


def test_the_device_is_busy_while_it_computes_and_nothing_is_selected() -> None:
    progress = Progress()
    progress.activated(Outcome((), select_seconds=0.5), 2.0)
    assert totals(progress, 7.0)["device"] == 1.5
    assert totals(progress, 7.0)["processor"] == 7.0
    progress.activated(Outcome((), select_seconds=5.0), 0.0)
    assert totals(progress, 7.0)["device"] == 0.0


def test_each_side_that_works_here_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(events, "say", lambda event, **fields: said.append(fields))
    progress = sampled()
    reporter = Reporter(factories.plan(), progress)
    reporter.report()
    assert said == []
    progress.note_position(1, position("activations", {0: 6}, lag={0: 7, 1: 1}, done=3, total=12))
    progress.note_position(2, position("activations", {2: 2}, lag={2: 2}, done=4, total=12))
    reporter.report()
    (fields,) = said
    assert (fields["side"], fields["run"], fields["corpus"]) == ("activations", "test", "text")
    assert (fields["done"], fields["total"], fields["lag"], fields["unit"]) == (
        4,
        12,
        10,
        "records",
    )
    assert (fields["rows_per_second"], fields["tokens_per_second"]) == (10.0, 60.0)
    assert fields["eta_seconds"] == 4.0


def test_a_reporter_samples_and_says_something_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, reports, enough = [0.0], [0], threading.Event()

    def report(_: Reporter) -> None:
        reports[0] += 1
        if reports[0] == 2:
            enough.set()

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(Reporter, "report", report)
    progress = Progress()
    reporter = Reporter(
        factories.plan(), progress, every=30.0, sample_every=0.001, clock=clock,
        processor=lambda: 1.0,
    )  # fmt: skip
    with reporter as entered:
        assert entered is reporter
        assert enough.wait(30)
        assert reporter._thread.is_alive()
    assert not reporter._thread.is_alive()
    assert now[0] > 60
    assert len(progress.rates.samples) > 2


def test_a_reporter_of_a_moment_has_a_rate_all_the_same() -> None:
    progress, now = Progress(), [10.0]
    reporter = Reporter(factories.plan(), progress, clock=lambda: now[0], processor=lambda: 1.0)
    with reporter:
        assert [at for at, _ in progress.rates.samples] == [10.0]
        progress.activated(Outcome((), tokens=30, rows=5), 0.5)
        now[0] = 12.0
    assert [at for at, _ in progress.rates.samples] == [10.0, 12.0]
    assert speed(progress, "activations").rows == 2.5
