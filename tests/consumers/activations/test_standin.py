"""The stand-in engine keeps the promises that the real one makes."""

import time

import numpy as np
import pytest

from consumers.activations.standin import StandInEngine
from streams.errors import NotFiniteError
from tests.factories import batch, plan, source


def two_sources(**changes: object) -> StandInEngine:
    sources = (
        source("sae", components=300, dropped=(0, 1)),
        source("mlp", components=100, kind="neurons", sign="absolute"),
    )
    return StandInEngine(plan(sources=sources, clusterings=()), **changes)  # type: ignore[arg-type]


def test_values_depend_on_the_left_context_and_component_alone() -> None:
    engine = two_sources()
    ids = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 3, 9, 9, 9], [7, 2, 3, 4, 5, 6]])
    one = batch(ids, np.array([6, 6, 6]))
    found = engine.compute(one, one.mask)
    rows = [
        {
            (int(c), int(p)): float(v)
            for c, p, v, r in zip(
                found.component, found.position, found.value, found.row, strict=True
            )
            if r == row
        }
        for row in range(3)
    ]
    early = [{k: v for k, v in row.items() if k[1] < 3} for row in rows]
    assert early[0] == early[1] != early[2]
    assert rows[0] != rows[1]
    alone = batch(ids[1:2], np.array([6]))
    single = engine.compute(alone, alone.mask)
    np.testing.assert_array_equal(single.value, found.value[found.row == 1])
    np.testing.assert_array_equal(single.component, found.component[found.row == 1])


def test_activations_are_sorted_sparse_and_tied() -> None:
    ids = np.random.default_rng(0).integers(0, 50, (40, 6))
    one = batch(ids, np.full(40, 5))
    found = two_sources(density=0.05).compute(one, one.mask)
    order = np.lexsort((found.position, found.row, found.component))
    assert (order == np.arange(len(order))).all()
    assert len(found.value) / (200 * 400) == pytest.approx(0.05, rel=0.3)
    assert found.position.max() == 4
    assert found.component.min() == 2
    assert len(set(np.abs(found.value).tolist())) <= 16
    assert (found.value[found.component < 300] > 0).all()
    assert (found.value[found.component >= 300] < 0).any()
    assert (found.value != 0).all()


def test_seeds_differ() -> None:
    one = batch(np.arange(12).reshape(2, 6), np.array([6, 6]))
    first, second = (two_sources(seed=seed).compute(one, one.mask) for seed in (1, 2))
    assert first.component.tolist() != second.component.tolist()


def test_poison_and_latency() -> None:
    one = batch(np.arange(12).reshape(2, 6), np.array([6, 4]))
    with pytest.raises(NotFiniteError, match="stand-in"):
        two_sources(poison=9).compute(one, one.mask)
    two_sources(poison=11).compute(one, one.mask)
    start = time.monotonic()
    two_sources(latency=0.05).compute(one, one.mask)
    assert time.monotonic() - start >= 0.05
