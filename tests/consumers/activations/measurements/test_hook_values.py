"""Mean and covariance of hook values against numpy's of the values themselves."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from consumers.activations.measurements.hook_values import _products
from consumers.activations.torch_engine import TorchEngine
from consumers.oracle.oracle import Oracle
from consumers.plan import make_plan
from consumers.runs.creation import prepare_run
from consumers.runs.specs import NeuronsSpec, RunSpec
from consumers.selection.selection import valid_tokens
from consumers.statistics.hook_values import NAME
from streams.errors import RunError
from streams.records.corpus import CorpusRecord
from streams.records.measures import measure
from tests.consumers.activations.measurements.test_health import CHOSEN, batch_of

HOOKS = ("blocks.0.mlp.hook_post", "blocks.1.hook_resid_post")


def run_of(spec: RunSpec, corpus: CorpusRecord, **given: Any) -> TorchEngine:
    sources = (*spec.sources, NeuronsSpec("n", hook=HOOKS[0]), NeuronsSpec("m", hook=HOOKS[1]))
    made = replace(spec, sources=sources, parameters={"hook_values": {"one_in": 2, **given}})
    return prepare_run(made, replace(corpus, context=16))


@pytest.mark.filterwarnings("ignore")
def test_mean_and_covariance_are_those_of_the_chosen_rows(
    spec: RunSpec, corpus: CorpusRecord
) -> None:
    engine, (batch, _) = run_of(spec, corpus, bits=20), batch_of()
    halves = [
        replace(batch, sequence=n, ids=batch.ids[part], mask=batch.mask[part],
                keys=batch.keys[part], documents=("",) * 6, domains=("",) * 6)
        for n, part in enumerate((slice(0, 6), slice(6, 12)))
    ]  # fmt: skip
    found = []
    for given in ([batch], halves):
        oracle = Oracle(engine.plan, engine)
        for each in given:
            oracle.add(each)
        found.append(oracle.tables([b"a"])["hook_values"].to_pylist())
    chosen = valid_tokens(engine.plan, batch)
    chosen[CHOSEN:] = False
    ids = torch.from_numpy(batch.ids.astype(np.int64))
    for hook in HOOKS:
        x = engine.model.run(ids, [hook])[hook].numpy().astype(np.float64)[chosen]
        for rows in found:
            own = [row for row in rows if row["hook"] == hook]
            assert [row["coordinate"] for row in own] == list(range(x.shape[1]))
            assert {row["tokens"] for row in own} == {len(x)}
            np.testing.assert_allclose([row["mean"] for row in own], x.mean(axis=0), atol=1e-6)
            expected = np.cov(x.T, bias=True)
            for row, line in zip(own, expected, strict=True):
                kept = line[: row["coordinate"] + 1]
                np.testing.assert_allclose(row["covariance"], kept, atol=1e-6)


def test_limbs_are_the_exact_sums_of_products() -> None:
    random = np.random.default_rng(0)
    fixed = np.rint(random.normal(size=(500, 5)) * 2.0 ** random.integers(0, 28, (500, 5)))
    fixed[0] = [2**30 - 1, -(2**30) + 1, 0, -1, 2**15]
    high, low = _products(fixed)
    assert (low >= 0).all()
    assert (low < 2**32).all()
    at = 0
    for i in range(5):
        for j in range(i + 1):
            exact = sum(Fraction(a) * Fraction(b) for a, b in fixed[:, [i, j]].tolist())
            assert (int(high[at]) << 32) + int(low[at]) == exact
            at += 1


@pytest.mark.filterwarnings("ignore")
def test_tokens_that_do_not_fit_are_left_out_and_counted(
    spec: RunSpec, corpus: CorpusRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, (batch, _) = run_of(spec, corpus, bits=20), batch_of()
    chosen = valid_tokens(engine.plan, batch)
    chosen[CHOSEN:] = False
    ids = torch.from_numpy(batch.ids.astype(np.int64))
    x = engine.model.run(ids, [HOOKS[1]])[HOOKS[1]].numpy().astype(np.float64)[chosen]
    largest = np.abs(x).max(axis=1)
    limit = float(np.median(largest))
    monkeypatch.setattr("consumers.activations.measurements.hook_values._LARGEST", limit * 2.0**20)
    oracle = Oracle(engine.plan, engine)
    oracle.add(batch)
    rows = [r for r in oracle.tables([b"a"])["hook_values"].to_pylist() if r["hook"] == HOOKS[1]]
    kept = x[np.rint(largest * 2.0**20) < limit * 2.0**20]
    assert 0 < len(kept) < len(x)
    assert {(row["tokens"], row["left_out"]) for row in rows} == {(len(kept), len(x) - len(kept))}
    np.testing.assert_allclose([row["mean"] for row in rows], kept.mean(axis=0), atol=1e-6)
    run = engine.plan.run
    others = tuple(each for each in run.statistics if each.name != NAME)
    wrong = measure(NAME, one_in=2, bits=16, widths=[32])
    with pytest.raises(RunError, match="wrong widths of hook_values@2"):
        make_plan(replace(run, statistics=(*others, wrong)))
