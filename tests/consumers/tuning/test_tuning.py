"""Measuring micro-batch sizes on a device that exists on paper, and the choice among them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.tuning.tuning import (
    MOST_ROUNDS,
    QUICK,
    SHARE,
    Effort,
    Measured,
    NoRoomError,
    Tuning,
    best,
    sizes,
)

CONTEXT = 16
HELD = 1000


@dataclass
class Paper:
    """A device: seconds per forward and per row, bytes per row of a forward, of ``total`` bytes.

    limit: rows at which it reports that memory ran out. killed: more was taken than there is.
    """

    forward: float = 0.1
    row: float = 0.01
    row_bytes: int = 10
    total: int = 10**9
    limit: int = 10**9
    now: float = 0.0
    most: int = 0
    killed: bool = False
    tried: list[int] = field(default_factory=list)

    def trial(self, size: int) -> Callable[[], int]:
        self.tried.append(size)

        def compute() -> int:
            self.now += self.forward + size * self.row
            self.most = max(self.most, HELD + size * self.row_bytes)
            self.killed |= self.most > self.total
            if size > self.limit:
                raise NoRoomError
            return size * CONTEXT

        return compute

    def clock(self) -> float:
        return self.now

    def used(self) -> int:
        return HELD

    def free(self) -> int:
        return self.total - HELD

    def peak(self, work: Callable[[], object]) -> int:
        self.most = HELD
        work()
        return self.most

    def rate(self, size: int) -> float:
        return CONTEXT * size / (self.forward + size * self.row)


def measured(paper: Paper, rows: int, effort: Effort, row_bytes: int = 1) -> tuple[Measured, ...]:
    return Tuning(paper.trial, paper, paper.clock, effort, row_bytes).measure(rows)


SHORT = Effort(seconds=0.0, least=1)
rates = st.floats(1.0, 1e9)
tables = st.lists(
    st.tuples(st.booleans(), st.lists(rates, min_size=1, max_size=4)), min_size=1, max_size=8
)


@given(st.integers(1, 5000))
def test_sizes_double_up_to_the_batch(rows: int) -> None:
    found = sizes(rows)
    assert (found[0], found[-1]) == (1, rows)
    assert all(b == 2 * a or (b == rows and a < b < 2 * a) for a, b in pairwise(found))


@given(tables, st.floats(0, 0.5))
def test_the_best_fits_is_close_to_the_fastest_and_none_smaller_is(
    table: list[tuple[bool, list[float]]], within: float
) -> None:
    found = [
        Measured(1 << power, fits, 0, tuple(figures) if fits else ())
        for power, (fits, figures) in enumerate(table)
    ]
    chosen = best(found, within)
    run = [one for one in found if one.fits]
    if chosen is None:
        assert not run
        return
    fastest = max(one.rate for one in run)
    assert chosen in run
    assert chosen.rate >= (1 - within) * fastest
    smaller = [one for one in run if one.micro_batch < chosen.micro_batch]
    assert all(one.rate < (1 - within) * fastest for one in smaller)


def test_the_best_is_within_three_per_cent() -> None:
    table = [
        Measured(1, True, 0, (96.9,)),
        Measured(2, True, 0, (97.1,)),
        Measured(4, True, 0, (100.0,)),
    ]
    assert best(table) == table[1]


def test_a_slow_moment_does_not_count() -> None:
    assert Measured(1, True, 0, (10.0, 1.0, 11.0)).rate == 10.0
    assert best([]) is None
    assert best([Measured(1, False, None)]) is None


@given(st.integers(1, 64), st.floats(1e-4, 1.0), st.floats(1e-5, 0.1))
def test_rates_are_those_of_the_device(rows: int, forward: float, row: float) -> None:
    paper = Paper(forward, row)
    found = measured(paper, rows, Effort(seconds=1.0, least=2))
    assert tuple(one.micro_batch for one in found) == sizes(rows)
    for one in found:
        assert 2 <= len(one.rates) <= MOST_ROUNDS
        assert one.rate == pytest.approx(paper.rate(one.micro_batch), rel=1e-6)
        assert one.peak == HELD + 10 * one.micro_batch


def test_sizes_take_turns_after_one_pass_from_the_smallest_on() -> None:
    paper = Paper()
    measured(paper, 8, Effort(seconds=1e9))
    assert paper.tried == [1, 2, 4, 8] * (1 + MOST_ROUNDS)


def test_time_ends_it_but_not_before_the_least_rounds() -> None:
    assert {len(one.rates) for one in measured(Paper(), 8, Effort(0.0, least=2))} == {2}
    assert {len(one.rates) for one in measured(Paper(), 8, Effort(1e9, least=2))} == {MOST_ROUNDS}


def test_a_choice_in_a_hurry_leaves_large_sizes_out() -> None:
    paper = Paper(forward=0.0, row=0.5)
    found = measured(paper, 64, QUICK)
    assert [one.micro_batch for one in found] == [1, 2, 4]
    assert best(found) == found[0]


@given(st.integers(1, 300), st.integers(1, 10**4), st.integers(0, 10**5))
def test_memory_never_runs_out_and_what_fits_is_run(rows: int, row_bytes: int, room: int) -> None:
    paper = Paper(row_bytes=row_bytes, total=HELD + room)
    found = measured(paper, rows, SHORT, row_bytes)
    assert not paper.killed
    for one in found:
        assert one.fits == (row_bytes * one.micro_batch <= SHARE * room)
        assert bool(one.rates) == one.fits
        assert one.peak == HELD + row_bytes * one.micro_batch
    assert all(one.fits for one in found[:-1])
    assert len(found) == len(sizes(rows)) or not found[-1].fits


@given(st.integers(1, 300), st.integers(2, 10**4), st.integers(0, 10**6))
def test_a_low_guess_for_one_row_costs_no_memory_beyond_it(
    rows: int, row_bytes: int, room: int
) -> None:
    paper = Paper(row_bytes=row_bytes, total=HELD + room)
    measured(paper, rows, SHORT, row_bytes=1)
    assert not paper.killed or set(paper.tried) == {1}, "only one row itself can be too much"


def test_a_device_that_refuses_ends_the_pass() -> None:
    found = measured(Paper(limit=4), 32, SHORT)
    assert [(one.micro_batch, one.fits) for one in found] == [
        (1, True),
        (2, True),
        (4, True),
        (8, False),
    ]
    assert found[-1] == Measured(8, False, None)
    chosen = best(found)
    assert chosen is not None
    assert chosen.micro_batch == 4


def test_a_size_that_is_refused_later_is_out() -> None:
    class Filling(Paper):
        def trial(self, size: int) -> Callable[[], int]:
            self.limit = 4 if len(self.tried) > 5 else 8
            return super().trial(size)

    found = measured(Filling(), 8, Effort(1e9))
    assert [one.fits for one in found] == [True, True, True, False]
    assert not found[-1].rates
