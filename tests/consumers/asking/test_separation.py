"""AUROC, differences, intervals and tests of sparse numbers, against SciPy and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from consumers.asking.separation import auroc_interval, separations
from consumers.asking.text_scores import TextScores

COMPONENTS = 4


@st.composite
def texts(draw: st.DrawFn):
    """Return [text, component] of few distinct numbers, and which texts have the concept."""
    n = draw(st.integers(5, 14))
    values = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.25])
    dense = np.array(draw(st.lists(values, min_size=n * COMPONENTS, max_size=n * COMPONENTS)))
    present = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    used = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    present[:4], used[:4] = [True, True, False, False], True
    return dense.reshape(n, COMPONENTS), present, used


def sparse(dense: np.ndarray) -> TextScores:
    component, text = np.nonzero(dense.T)
    return TextScores(component, text, dense[text, component])


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
@given(texts())
def test_numbers_are_those_of_all_pairs_and_of_scipy(drawn) -> None:
    dense, present, used = drawn
    found = separations(sparse(dense), COMPONENTS, present, used, 0.1)
    for at in range(COMPONENTS):
        with_, without = dense[present & used, at], dense[~present & used, at]
        wins = [(a > b) + 0.5 * (a == b) for a in with_ for b in without]
        assert found.auroc[at] == pytest.approx(np.mean(wins))
        assert found.difference[at] == pytest.approx(with_.mean() - without.mean())
        assert found.active_with[at] == pytest.approx((with_ > 0).mean())
        assert found.active_without[at] == pytest.approx((without > 0).mean())
        if np.ptp(np.r_[with_, without]) == 0:
            assert found.p[at] == 1
        else:
            expected = stats.mannwhitneyu(with_, without, method="asymptotic")
            assert found.p[at] == pytest.approx(expected.pvalue, abs=1e-12)
        if with_.var() + without.var() > 0:
            test = stats.ttest_ind(with_, without, equal_var=False)
            interval = test.confidence_interval(0.9)
            ends = (found.difference_low[at], found.difference_high[at])
            assert ends == pytest.approx((interval.low, interval.high))
        else:
            assert found.difference_low[at] == found.difference_high[at]
        assert found.auroc_low[at] <= found.auroc[at] <= found.auroc_high[at]


@pytest.mark.parametrize("auroc", [0.0, 0.31, 0.5, 0.93, 1.0])
def test_an_interval_ends_where_the_score_test_does(auroc: float) -> None:
    n1, n0, z = 12, 30, stats.norm.ppf(0.975)

    def excess(at: float) -> float:
        inside = 1 + ((n1 + n0) / 2 - 1) * ((1 - at) / (2 - at) + at / (1 + at))
        return (auroc - at) ** 2 - z**2 * at * (1 - at) * inside / (n1 * n0)

    low, high = (float(end[0]) for end in auroc_interval(np.array([auroc]), n1, n0, 0.05))
    for end, limit in ((low, 0.0), (high, 1.0)):
        if auroc == limit:
            assert end == limit
        else:
            inner = auroc if 0 < auroc < 1 else abs(auroc - 1e-9)
            assert end == pytest.approx(optimize.brentq(excess, limit, inner), abs=1e-7)


def test_intervals_hold_the_true_auroc_as_often_as_they_say() -> None:
    chance, inside, rounds = np.random.default_rng(3), 0, 400
    present = np.arange(40) < 20
    true = stats.norm.cdf(1 / np.sqrt(2))
    for _ in range(rounds):
        dense = np.exp(chance.standard_normal((40, 1)) + present[:, None])
        found = separations(sparse(dense), 1, present, np.ones(40, bool), 0.05)
        inside += int(found.auroc_low[0] <= true <= found.auroc_high[0])
    assert 0.92 * rounds <= inside <= 0.99 * rounds
