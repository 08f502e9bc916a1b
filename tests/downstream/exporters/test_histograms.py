"""Histograms in other bins: exact totals, borders between the extremes, quantiles in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.exporters.histograms import bars, quantiles

EDGES = [0.25, 0.5, 1.0, 2.0, 4.0]
values_of = st.lists(st.floats(0.015625, 9.0, width=32), max_size=60)


def numbers(values: list[float]) -> dict[str, object]:
    """Return a row of clusters with these activations."""
    at = np.searchsorted(EDGES, values, side="right")
    return {
        "activation_histogram": np.bincount(at, minlength=len(EDGES) + 1).tolist(),
        "min_activation": min(values, default=0.0),
        "max_activation": max(values, default=0.0),
    }


@given(values=values_of, most=st.integers(1, 60), silent=st.none() | st.integers(0, 5))
def test_bars_hold_every_token_between_the_extremes(
    values: list[float], most: int, silent: int | None
) -> None:
    found = bars(numbers(values), EDGES, most, silent=silent)
    assert sum(found.counts) == len(values) + (silent or 0)
    assert all(count >= 0 for count in found.counts)
    assert len(found.edges) == (len(found.counts) + 1 if found.counts else 0)
    if values:
        assert found.edges[-1] == max(values)
        assert found.edges[0] == (min(values) if silent is None else 0)
        assert len(found.middles) == len(found.counts)


@given(values=values_of)
def test_quantiles_rise_and_are_right_up_to_one_bin(values: list[float]) -> None:
    shares = [0.01, 0.25, 0.5, 0.9, 1.0]
    found = quantiles(numbers(values), EDGES, shares)
    if not values:
        assert found == []
        return
    assert found == sorted(found)
    assert min(values) <= found[0]
    assert found[-1] == pytest.approx(max(values))
    bounds = [0.0, *EDGES, 10.0]
    for share, value in zip(shares, found, strict=True):
        # Where a share ends between two values, all between them are quantiles.
        methods = ("inverted_cdf", "lower", "higher")
        true = [float(np.quantile(values, share, method=each)) for each in methods]  # type: ignore[call-overload]
        low = np.searchsorted(bounds, min(true), side="right") - 1
        high = np.searchsorted(bounds, max(true), side="right")
        assert bounds[low] - 1e-6 <= value <= bounds[high] + 1e-6
