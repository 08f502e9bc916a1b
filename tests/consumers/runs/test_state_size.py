"""The size of the aggregators' state, foreseen from a sample."""

from dataclasses import replace

import numpy as np
import pytest

from consumers.plan import make_plan
from consumers.runs.specs import RunSpec
from consumers.runs.state_size import Density, density_of, most_by_key, state_bytes
from consumers.statistics.registry import optional_statistics
from streams.records.corpus import CorpusRecord
from tests import factories
from tests.consumers.created import create_run


def test_density_is_counted_by_rows() -> None:
    fires = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], np.bool_)  # rows 4, 4, 9, 9
    found = density_of(fires, np.array([4, 4, 9, 9]))
    assert found == Density(in_rows=1.5, overall=0.75)  # (2 + 1) / 2 pairs that fire, / 4 pairs


def test_what_never_fires_has_no_density() -> None:
    assert density_of(np.zeros((3, 2), np.bool_), np.arange(3)) == Density(0.0, 0.0)


def test_full_tables_hold_k_rows_or_those_there_are(spec: RunSpec, corpus: CorpusRecord) -> None:
    plan = make_plan(create_run(replace(spec, k=10), corpus))
    sizes = np.diff(plan.member_first)
    sparse, dense = Density(2.0, 0.5), Density(2.0, 4.0)
    fixed = state_bytes(plan, sparse, 0)
    counters = 4 * plan.layout.sum_first[-1]
    assert fixed == counters + 16 * plan.clusters + 1100 * (len(plan.bucket_first) - 1)
    alone = 10 * (28 + 6 * np.maximum(2, 0.5 * sizes)).sum() * plan.tables
    assert state_bytes(plan, sparse, None) - fixed == pytest.approx(alone, abs=1)
    assert state_bytes(plan, sparse, 5) - fixed == pytest.approx(alone / 2, abs=1)
    together = 10 * (28 + 6 * np.maximum(2, 4 * sizes)).sum() * plan.tables
    assert state_bytes(plan, dense, 1_000) - fixed == pytest.approx(together, abs=1)


def test_sums_by_key_count_full() -> None:
    optional = optional_statistics(("tokens=budget:7,sketch:3", "domains=budget:5"))
    base = factories.run_record()
    plain, plan = (
        make_plan(base),
        make_plan(replace(base, statistics=(*base.statistics, *optional))),
    )
    buckets = len(plan.bucket_first) - 1
    of_clusters = plan.clusters * (13 * 36 + 6 * 28)  # 12 cells are more than 7 tokens
    by_key = of_clusters + 6 * 28 + buckets * 2 * 5 * 804
    assert (most_by_key(plain), most_by_key(plan)) == (0, by_key)
    none = Density(0.0, 0.0)
    counters = 4 * (base.model.vocabulary)
    more = state_bytes(plan, none, 0) - state_bytes(plain, none, 0)
    assert more == by_key + counters + 1100 * (buckets - len(plain.bucket_first) + 1)
