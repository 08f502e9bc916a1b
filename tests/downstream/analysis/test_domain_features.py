"""Features of a domain from counts, against counting rows one by one and SciPy."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from downstream.analysis.domain_features import domain_features
from streams.errors import SnapshotError
from tests.downstream.analysis.domain_runs import NAMES, SOURCES, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("domains"))


@pytest.mark.parametrize("against", ["prose", None])
def test_counts_and_statistics_are_those_of_the_rows(run: Run, against: str | None) -> None:
    found = domain_features(run.snapshot, "code", against, level=0.1)
    sides: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]
    others = [against] if against else [n for n in NAMES if n and n != "code"]
    for domain, valid, values in run.active():
        for side, names in enumerate((["code"], others)):
            if domain in names and valid.any():
                sides[side].append((valid, values > 0))
    assert found.rows == tuple(map(len, sides))
    assert found.tokens == tuple(int(sum(v.sum() for v, _ in side)) for side in sides)
    dropped = sum(len(source.dropped) for source in SOURCES)
    rows = found.table.to_pylist()
    assert found.tried == len(rows) == run.plan.components - dropped
    (n1, n0) = found.rows
    for row in rows:
        label = f"{row['clustering'].removeprefix('features/')}:{row['label']}"
        (at,) = (c for c in range(run.plan.components) if run.plan.component_label(c) == label)
        tokens = [sum(int(f[:, at].sum()) for _, f in side) for side in sides]
        a, b = (sum(int(f[:, at].any()) for _, f in side) for side in sides)
        assert (row["rows_with"], row["rows_without"]) == (a, b)
        densities = (row["density_with"], row["density_without"])
        assert densities == pytest.approx(
            [t / n for t, n in zip(tokens, found.tokens, strict=True)]
        )
        assert row["difference"] == pytest.approx(a / n1 - b / n0)
        u = stats.mannwhitneyu([1] * a + [0] * (n1 - a), [1] * b + [0] * (n0 - b)).statistic
        assert row["auroc"] == pytest.approx(u / (n1 * n0))
        for name, hits, of in (("share_with", a, n1), ("share_without", b, n0)):
            ends = stats.binomtest(hits, of).proportion_ci(0.9, method="wilson")
            assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(tuple(ends))
        cells = np.array([[a, n1 - a], [b, n0 - b]])
        ratio = np.log(np.prod(np.diag(cells + 0.5)) / np.prod(np.diag(np.fliplr(cells + 0.5))))
        assert row["log_odds"] == pytest.approx(ratio)
        half = stats.norm.ppf(0.95) * np.sqrt((1 / (cells + 0.5)).sum())
        assert (row["log_odds_low"], row["log_odds_high"]) == pytest.approx(
            (ratio - half, ratio + half)
        )
        fixed = 0 in cells.sum(axis=0)
        expected = 1.0 if fixed else stats.chi2_contingency(cells, correction=True).pvalue
        assert row["p"] == pytest.approx(expected, abs=1e-12)
        assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
        assert (2 * row["auroc_low"] - 1, 2 * row["auroc_high"] - 1) == pytest.approx(
            (row["difference_low"], row["difference_high"])
        )
    order = [(-row["auroc"], -row["log_odds"], row["cluster"]) for row in rows]
    assert order == sorted(order)
    corrected = stats.false_discovery_control([row["p"] for row in rows])
    assert [row["corrected"] for row in rows] == pytest.approx(corrected)
    assert found.significant == int((corrected <= 0.1).sum())


def test_the_best_of_a_clustering(run: Run) -> None:
    found = domain_features(run.snapshot, "prose", top=1, clustering="groups")
    assert (found.tried, len(found.table)) == (2, 1)
    assert found.table.about("auroc_low").meaning == "with error"


def test_newcombes_interval_is_the_published_one() -> None:
    from downstream.analysis.rates import difference_interval

    low, high = difference_interval(np.array([56, 10]), 70, np.array([48, 0]), 80, 0.05)
    assert (low[0], high[0]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("poems",), "there is no domain 'poems' .there are: code, letters, prose"),
        (("code", "poems"), "no domain 'poems'"),
        (("code", "code"), "cannot be told from itself"),
        (("",), "there is no domain ''"),
    ],
)
def test_domains_that_there_are_not(run: Run, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(SnapshotError, match=said):
        domain_features(run.snapshot, *arguments)


def test_a_run_that_counts_no_domains(tmp_path: Path) -> None:
    plain = Run(tmp_path, statistics=())
    with pytest.raises(SnapshotError, match="needs the statistic 'domains'"):
        domain_features(plain.snapshot, "code")
    with pytest.raises(SnapshotError, match="no clustering 'x'"):
        domain_features(Run(tmp_path / "b").snapshot, "code", clustering="x")
