"""The shape of a distribution against numpy and scipy, within the errors that the table states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from consumers.activations.engine import Activations
from consumers.selection.selection import select, valid_tokens
from consumers.snapshots.tables import statistics_tables
from consumers.statistics.distribution import LIMB, QUANTILES
from consumers.statistics.registry import optional_statistics
from streams.errors import OverflowingSumError
from streams.records.measures import statistics
from tests import factories
from tests.consumers.folding import folded_states
from tests.streams.strategies import quick


def plan_of(sum_bits=20, components=4):
    return factories.plan(
        statistics=(*statistics(sum_bits), *optional_statistics(("distribution",))),
        sources=(factories.source(components=components),),
        clusterings=(),
    )


class LogNormal:
    """Values by token id, feature 3 always 1; about half of them 0."""

    def __init__(self, components=4):
        random = np.random.default_rng(0)
        self.values = random.lognormal(0, 1, (factories.VOCABULARY, components))
        self.values *= random.random(self.values.shape) < 0.5
        self.values[:, 3] = 1.0

    def compute(self, batch, valid):
        dense = (self.values[batch.ids] * valid[..., None]).astype(np.float32)
        component, row, position = np.nonzero(dense.transpose(2, 0, 1))
        value = dense[row, position, component]
        return Activations(component, row.astype(np.int32), position.astype(np.int32), value)


def test_variance_skewness_and_quantiles_are_those_of_numpy_and_scipy():
    plan, engine, batches = plan_of(), LogNormal(), factories.batches(rows=8)
    found = dict(statistics_tables(plan, folded_states(plan, engine, batches)))
    rows = found["activation_distribution"].to_pylist()
    assert [row["cluster"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        values = np.concatenate([
            part.value[part.component == row["cluster"]]
            for part in (engine.compute(b, valid_tokens(plan, b)) for b in batches)
        ]).astype(np.float64)  # fmt: skip
        assert row["variance"] == pytest.approx(values.var(), abs=1e-5)
        skewness = stats.skew(values) if values.std() else 0.0
        assert abs(row["skewness"] - skewness) <= row["skewness_error"] + 1e-4
        assert row["skewness_error"] < 0.6  # bins are a fourth of a doubling wide
        expected = np.quantile(values, QUANTILES, method="inverted_cdf")
        errors = np.array(row["quantile_errors"])
        assert (np.abs(row["quantiles"] - expected) <= errors + 1e-6).all()
        assert (errors <= 0.1 * expected).all()


def contributed(plan, values):
    """Return the sum of squares that a batch of one row adds for the only cluster."""
    batch = factories.batch([[1] * len(values)], [len(values)])
    zeros = np.zeros(len(values), np.int32)
    activations = Activations(
        zeros.astype(np.int64), zeros, np.arange(len(values), dtype=np.int32), values
    )
    tally = select(plan, batch, valid_tokens(plan, batch), activations).tally
    counts = dict(zip(tally.count_at.tolist(), tally.count.tolist(), strict=True))
    at = int(plan.layout.at("distribution.squares")[0])
    high, low = counts.get(at, 0), counts.get(at + 1, 0)
    assert 0 <= low < 2**LIMB
    return high * 2**LIMB + low


ONE = plan_of(0, 1)


@quick
@given(st.lists(st.integers(1, 2**49), min_size=1, max_size=6))
def test_sums_of_squares_are_exact(given_values):
    values = np.array(given_values, np.float32)
    assert contributed(ONE, values) == sum(int(v) ** 2 for v in values.tolist())


def test_a_square_beyond_the_limbs_is_an_error_with_a_way_out():
    contributed(ONE, np.array([2.0**49], np.float32))
    with pytest.raises(OverflowingSumError, match=r"squares of an activation .* fewer sum_bits"):
        contributed(ONE, np.array([2.0**51], np.float32))
