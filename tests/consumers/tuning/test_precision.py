"""How far two computations of the same rows lie apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from consumers.activations.engine import Activations
from consumers.tuning.precision import TOP, Drift, drift, row_maxima, top_rows
from streams.arrays import F32
from tests import factories

few = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
maxima = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 30)), elements=few)


def slow_top(row: list[float], k: int) -> set[int]:
    order = sorted(range(len(row)), key=lambda at: (-row[at], at))
    return {at for at in order[:k] if row[at] > 0}


@given(maxima, st.integers(1, 25))
def test_the_top_rows_are_the_plain_sort(values: F32, k: int) -> None:
    found = [set(np.flatnonzero(row).tolist()) for row in top_rows(values, k)]
    assert found == [slow_top(row, k) for row in values.tolist()]


@given(maxima)
def test_the_same_twice_is_no_drift(values: F32) -> None:
    found = drift(values, values.copy())
    assert (found.top_sets, found.largest, found.typical) == (1.0, 0.0, 0.0)
    assert found.components == int(values.any(axis=1).sum())


@given(maxima, st.data())
def test_drift_is_the_slow_twins(values: F32, data: st.DataObject) -> None:
    other = data.draw(arrays(np.float32, values.shape, elements=few))
    same, moved = [], []
    for first, second in zip(values.tolist(), other.tolist(), strict=True):
        strongest = max(*first, *second, 0.0)
        if strongest:
            same.append(slow_top(first, TOP) == slow_top(second, TOP))
            moved.append(max(abs(a - b) for a, b in zip(first, second, strict=True)) / strongest)
    found = drift(values, other)
    assert found.components == len(same)
    if same:
        assert found.top_sets == pytest.approx(sum(same) / len(same))
        assert found.largest == pytest.approx(max(moved))
        assert found.typical == pytest.approx(float(np.median(moved)))


def test_nothing_that_fires_is_no_drift() -> None:
    assert drift(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32)) == Drift(
        4, 0, 1.0, 0.0, 0.0
    )


def test_row_maxima_follow_sign_and_threshold() -> None:
    sources = (factories.source(components=3, sign="absolute", threshold=0.5),)
    plan = factories.plan(sources=sources, clusterings=())
    found = Activations(
        component=np.array([0, 0, 0, 2]),
        row=np.array([0, 0, 1, 1], np.int32),
        position=np.array([0, 1, 0, 2], np.int32),
        value=np.array([1.0, -2.0, 0.5, 0.75], np.float32),
    )
    assert row_maxima(plan, found, 2).tolist() == [[2.0, 0.0], [0.0, 0.0], [0.0, 0.75]]
