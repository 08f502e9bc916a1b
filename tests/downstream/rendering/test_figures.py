"""Geometry of the drawings."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.rendering.figures import (
    HEIGHT,
    WIDTH,
    Bin,
    Step,
    density_histogram,
    display_bins,
    histogram,
    quantile,
    sparkline,
    steps,
)

EDGES = [1.0, 2.0, 4.0, 8.0]


def test_empty_ends_are_left_out() -> None:
    counts = np.array([0, 3, 0, 2, 0])
    assert display_bins(counts, EDGES, 1.5, 7.0) == (
        Bin(1.0, 2.0, 3),
        Bin(2.0, 4.0, 0),
        Bin(4.0, 8.0, 2),
    )


def test_the_outer_bins_end_at_the_extremes() -> None:
    bins = display_bins(np.array([1, 0, 0, 0, 5]), EDGES, 0.25, 20.0)
    assert (bins[0].left, bins[-1].right) == (0.25, 20.0)


def test_nothing_fired_gives_nothing() -> None:
    assert display_bins(np.zeros(5, int), EDGES, 0.0, 0.0) == ()
    assert histogram(()).bars == ()
    assert sparkline([0, 0]) == sparkline([]) == ""
    assert density_histogram(np.zeros(3), "feature").bars == ()


@given(st.lists(st.integers(0, 50), min_size=5, max_size=5), st.integers(1, 6))
def test_joining_bins_keeps_every_count(counts: list[int], most: int) -> None:
    bins = display_bins(np.array(counts), EDGES, 0.5, 9.0, most)
    assert sum(each.count for each in bins) == sum(counts)
    assert len(bins) <= most
    assert all(a.right == b.left for a, b in pairwise(bins))
    assert all(0 <= bar.x <= WIDTH and bar.title for bar in histogram(bins).bars)


def test_a_quantile_is_the_bin_it_lies_in() -> None:
    bins = (Bin(1, 2, 50), Bin(2, 4, 49), Bin(4, 8, 1))
    assert [quantile(bins, share) for share in (0.5, 0.51, 1.0)] == list(bins)


def test_round_ticks_stand_where_they_belong() -> None:
    drawing = histogram((Bin(0.1, 1.0, 1), Bin(1.0, 10.0, 2)))
    assert (WIDTH / 2, "1") in drawing.ticks
    assert drawing.top == "2"


def test_steps_are_as_high_as_their_share() -> None:
    drawing = steps((Step(0, 8, 0.02, "a"), Step(8, 12, 0.0, "b"), Step(12, 16, 0.04, "c")))
    assert [bar.height for bar in drawing.bars] == [HEIGHT / 2, 0, HEIGHT]
    assert [bar.x for bar in drawing.bars] == [0, WIDTH / 2, WIDTH * 3 / 4]
    assert drawing.top == "4.00 %"
    assert steps(()).bars == steps((Step(0, 1, 0.0, "none"),)).bars[1:]


def test_what_the_highest_bar_stands_for_is_in_the_corner_with_room() -> None:
    shares = [0.8, 0.0, 0.0, 0.0, 0.0, 1.0, 0.2, 0.2]  # the highest bar is in the right half
    assert steps([Step(at, at + 1, share, "") for at, share in enumerate(shares)]).top_on_right
    turned = [Step(at, at + 1, share, "") for at, share in enumerate(shares[::-1])]
    assert not steps(turned).top_on_right
    assert not steps(()).top_on_right


@pytest.mark.parametrize("densities", [[1.0], [1e-9, 1.0], [0.5, 0.5, 0.0]])
def test_every_density_is_counted_once(densities: list[float]) -> None:
    drawing = density_histogram(np.array(densities), "feature")
    assert int(drawing.top) >= 1
    assert all(0 <= bar.x <= WIDTH for bar in drawing.bars)
