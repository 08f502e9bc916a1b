"""Candidates take turns, and ratios are of one round."""

from functools import partial
from itertools import count

import pytest

from benchmarks.timing import Spread, Timed, interleaved, per, ratio, total


def test_every_candidate_has_its_turn_in_every_round():
    turns: list[str] = []
    ticks = count()
    found = interleaved(
        {name: partial(turns.append, name) for name in "abc"},
        rounds=3,
        warm_up=1,
        clock=lambda: float(next(ticks)),
    )
    rounds = ["".join(turns[start : start + 3]) for start in range(0, len(turns), 3)]
    assert [sorted(one) for one in rounds] == [["a", "b", "c"]] * 4
    assert rounds == ["cab", "abc", "bca", "cab"]
    assert found == {name: Timed((1.0, 1.0, 1.0)) for name in "abc"}


def test_what_takes_longer_is_measured_as_longer_and_warm_up_is_left_out():
    now, calls = [0.0], count()

    def slow():
        now[0] += 100.0 if next(calls) == 0 else 3.0

    def fast():
        now[0] += 1.0

    found = interleaved({"slow": slow, "fast": fast}, 2, warm_up=1, clock=lambda: now[0])
    assert found == {"slow": Timed((3.0, 3.0)), "fast": Timed((1.0, 1.0))}
    assert ratio(found["slow"], found["fast"]) == Spread((3.0, 3.0))


def test_whoever_listens_hears_of_every_turn():
    heard = []
    interleaved({"a": int, "b": int}, 1, warm_up=1, after=lambda *told: heard.append(told))
    assert heard == [("b", -1), ("a", -1), ("a", 0), ("b", 0)]


def test_ratios_and_sums_are_round_by_round():
    first, second = Spread((2.0, 9.0, 4.0)), Spread((1.0, 3.0, 4.0))
    found = ratio(first, second)
    assert found == Spread((2.0, 3.0, 1.0))
    assert (found.low, found.median, found.high) == (1.0, 2.0, 3.0)
    assert total(first, second) == Spread((3.0, 12.0, 8.0))
    assert per(first, 2) == Spread((1.0, 4.5, 2.0))
    assert found.row("speed-up") == {
        "speed-up median": 2.0,
        "speed-up low": 1.0,
        "speed-up high": 3.0,
    }
    with pytest.raises(ValueError, match="shorter"):
        ratio(first, Spread((1.0,)))
