"""Compiled loops run wherever they are installed."""

import numba
import numpy as np
import pytest

from consumers.compiled import compiled


def total(values):
    found = 0.0
    for value in values:
        found += value
    return found


def test_a_loop_gives_what_it_gives_in_python() -> None:
    values = np.random.default_rng(0).random(100)
    assert compiled(total)(values) == total(values)


def test_where_nothing_can_be_kept_a_loop_is_compiled_all_the_same(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_place(*_: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "__init__", no_place)
    with pytest.raises(RuntimeError):
        numba.njit(cache=True)(total)
    assert compiled(total)(np.ones(3)) == 3.0
