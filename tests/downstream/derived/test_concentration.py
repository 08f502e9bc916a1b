"""Bounds of entropy and concentration, against every vector of counts under the bounds."""

import itertools

import numpy as np
import pytest

from downstream.derived.concentration import bounded_concentration, exact_concentration


@pytest.mark.parametrize(
    ("most", "others", "most_other", "total"),
    [
        ([4, 3, 2], 0, 2, 9),
        ([4, 3, 2], 0, 2, 6),
        ([3, 1], 2, 2, 5),
        ([2, 2], 3, 1, 4),
        ([5], 2, 2, 5),
    ],
)
def test_bounds_hold_for_all_that_is_possible(
    most: list[int], others: int, most_other: int, total: int
) -> None:
    found = bounded_concentration(np.array(most), others, most_other, total)
    spans = [range(n + 1) for n in [*most, *[most_other] * others]]
    possible = [
        exact_concentration(np.array([n for n in counts if n]))
        for counts in itertools.product(*spans)
        if sum(counts) == total
    ]
    entropies = [each.entropy for each in possible]
    squares = [each.concentration for each in possible]
    assert found.entropy - found.entropy_error == pytest.approx(min(entropies))
    assert found.concentration + found.concentration_error == pytest.approx(max(squares))
    assert found.entropy + found.entropy_error >= max(entropies) - 1e-9
    assert found.concentration - found.concentration_error <= min(squares) + 1e-9
