"""The size of the aggregators' state, foreseen from a sample."""

from dataclasses import replace

import numpy as np
import pytest

from consumers.plan import make_plan
from consumers.runs.specs import RunSpec
from consumers.runs.state_size import Density, density_of, state_bytes
from streams.records.corpus import CorpusRecord
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
