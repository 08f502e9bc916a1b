"""Counts of a worker, as it reports them."""

from typing import Any

from consumers.health.progress import Progress, WorkerPosition
from consumers.selection.worker import Outcome
from streams.errors import ShapeError


def test_each_record_counts_once_on_its_side() -> None:
    now = [10.0]
    progress = Progress(clock=lambda: now[0])
    progress.activated(Outcome((), tokens=7, rows=2, hits=3, select_seconds=0.5), 1.25)
    progress.activated(Outcome((), ShapeError("odd")))
    progress.activated(Outcome(()))  # the end of a partition is a record and no batch
    done = progress.done
    found = (done.records, done.batches, done.tokens, done.rows, done.hits, done.refused)
    assert found == (3, 2, 7, 2, 3, 1)
    assert (done.compute_seconds, done.select_seconds) == (1.25, 0.5)
    now[0] = 20.0
    progress.applied(5, 0.25, rows=2)
    progress.applied(0, 0.25, duplicate=True)
    progress.applied(0, 0.5, refused=True)
    done = progress.done
    assert (done.partials, done.tokens_applied, done.rows_applied) == (3, 5, 2)
    assert (done.duplicates, done.refused_partials, done.apply_seconds) == (1, 1, 1.0)
    assert done.progressed == {"activations": 10.0, "aggregates": 20.0}
    assert done.records == 3


def test_flushes_and_parts_are_no_progress_of_a_side() -> None:
    progress = Progress()
    progress.flushed(2.0, 100, 7.0)
    progress.flushed(1.0, 50, 9.0)
    progress.wrote_part(3.0)
    done = progress.done
    assert (done.flushes, done.flush_seconds, done.flush_bytes) == (2, 3.0, 150)
    assert (done.flush_interval, done.parts, done.snapshot_seconds) == (9.0, 1, 3.0)
    assert not done.progressed


def test_assignments_positions_and_times_are_kept_side_by_side() -> None:
    progress = Progress()
    progress.rebalanced(1, "activations", 4)
    progress.rebalanced(2, "aggregates", 3)
    progress.rebalanced(1, "activations", 2)
    assert progress.done.rebalances == {"activations": 2, "aggregates": 1}
    assert progress.assigned == {1: ("activations", 2), 2: ("aggregates", 3)}
    first, second = (WorkerPosition(name, "t", {}, {}) for name in "ab")
    progress.note_position(1, first)
    progress.note_position(2, second)
    assert progress.positions == {1: first, 2: second}
    progress.settled("activations", 0, 5.0)
    progress.settled("activations", 1, None)
    progress.settled("aggregates", 0, 6.0)
    assert progress.written == {("activations", 0): 5.0, ("aggregates", 0): 6.0}


def test_rates_are_those_of_the_samples() -> None:
    progress = Progress()
    totals: list[dict[str, Any]] = [{"tokens": 0.0}, {"tokens": 50.0}]
    before = progress.rates
    for second, total in enumerate(totals):
        progress.sample(float(second), total)
    assert progress.rates != before
