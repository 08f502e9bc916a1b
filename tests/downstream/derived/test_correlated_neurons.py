"""Correlated neurons in shared rows, against numpy over the dense values of these rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from consumers.snapshots.snapshots import write_plain
from downstream.derived.attach import attach
from downstream.derived.correlated_neurons import CORRELATED_NEURONS, CorrelatedNeurons
from downstream.derived.correlation import TokenValues
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import read_dictionary
from downstream.reading.snapshot import Snapshot
from downstream.rendering.opening import open_snapshot
from downstream.rendering.panels.correlated_neurons import CorrelatedNeuronsPanel
from downstream.rendering.panels.panel import Subject, feature_of
from streams.errors import SnapshotError
from streams.records.corpus import TokenBatch
from tests import factories

ROWS = factories.batches(per_partition=8, rows=8, seed=5)
NEURONS = factories.source("mlp", components=7, sign="absolute", kind="neurons", threshold=0.5)
SOURCES = (factories.source(components=6), NEURONS, factories.source("other", components=4))


class Engine(factories.DenseEngine):
    """Values that depend on the position, too, and neurons of any size."""

    def dense(self, batch: TokenBatch) -> Any:
        drawn = np.random.default_rng(7).random((batch.ids.shape[1], self.plan.components))
        keep = drawn < 0.6
        keep[:, 6:13] = True
        size = np.where(keep, 0.5 + drawn, 0).astype(np.float32)
        return super().dense(batch) * size


def opened(folder: Path, k: int, sources: Any = SOURCES) -> tuple[Plan, Snapshot]:
    plan = factories.plan(
        sources=sources,
        clusterings=(),
        rankings=("maximum", f"shared={k}"),
        bucket_bytes=10**7,
        record_bytes=2**25,
    )
    oracle = Oracle(plan, Engine(plan, density=0.5))
    for batch in ROWS:
        oracle.add(batch)
    return plan, Snapshot(write_plain(plan, oracle.tables([b"a"]), "final", str(folder)))


def dense_rows(plan: Plan) -> list[Any]:
    """Return the values of each sample by rising key, [position, component], 0 where inactive."""
    engine, found = Engine(plan, density=0.5), {}
    threshold = np.repeat([s.threshold for s in SOURCES], [s.components for s in SOURCES])
    for batch in ROWS:
        dense = engine.dense(batch) * (batch.mask & (batch.ids != 0))[..., None]
        dense = np.where(np.abs(dense) > threshold, dense, 0).astype(np.float64)
        for row in range(len(batch.keys)):
            found[batch.keys[row].tobytes()] = dense[row]
    return [found[key] for key in sorted(found)]


def known(rows: list[Any], k: int) -> tuple[list[Any], bool]:
    """Return the rows in which every component is known, and whether these are all."""
    active = np.array([(row != 0).any(axis=0) for row in rows])
    rows = [row for row, on in zip(rows, active, strict=True) if on.any()]
    active = active[active.any(axis=1)]
    seen = active.cumsum(axis=0)
    ends = [int(np.argmax(each >= k)) + 1 for each in seen.T if each[-1] >= k]
    return rows[: min(ends, default=len(rows))], not ends


@pytest.mark.parametrize("k", [3, 20, 1000])
def test_pairs_are_those_of_numpy_over_the_rows_in_which_all_are_known(
    tmp_path: Path, k: int
) -> None:
    plan, snapshot = opened(tmp_path, k)
    attach(
        CorrelatedNeurons(), Given(snapshot, read_dictionary), Options(k=4), created="2031-05-06"
    )
    rows = snapshot.attachment("correlated_neurons")["correlated_neurons"].to_pylist()
    keys = [tuple(row[name] for name in CORRELATED_NEURONS.key) for row in rows]
    assert keys == sorted(set(keys))
    of_rows, exact = known(dense_rows(plan), k)
    assert exact == (k == 1000)
    number = np.repeat(np.arange(len(of_rows)), [len(each) for each in of_rows])
    values = np.concatenate(of_rows)
    looked = (values[:, 6:13] != 0).any(axis=1)
    number, values = number[looked], values[looked]
    neurons = values[:, 6:13]
    features = [*range(6), *range(13, 17)]
    some = [f for f in features if (values[:, f] != 0).sum() >= 2]
    assert {row["feature"] for row in rows} == set(some)
    for feature in some:
        mine = [row for row in rows if row["feature"] == feature]
        with np.errstate(invalid="ignore"):
            wanted = np.corrcoef(values[:, feature], neurons.T)[0, 1:]
        order = np.argsort(-np.abs(np.nan_to_num(wanted)), kind="stable")[: len(mine)]
        assert len(mine) == min(4, (np.abs(np.nan_to_num(wanted)) > 1e-12).sum())
        for rank, (row, neuron) in enumerate(zip(mine, order, strict=True)):
            f, x = values[:, feature], neurons[:, row["neuron"]]
            assert row["rank"] == rank
            assert abs(row["pearson"]) == pytest.approx(abs(wanted[neuron]), abs=1e-9)
            assert row["pearson"] == pytest.approx(wanted[row["neuron"]], abs=1e-9)
            assert row["cosine"] == pytest.approx(f @ x / np.sqrt(f @ f * (x @ x)))
            assert (row["tokens"], row["rows"]) == (len(f), len(set(number)))
            assert row["feature_tokens"] == (f != 0).sum()
            assert (row["exact"], row["neuron_source"]) == (exact, "mlp")
            in_rows = len(set(number[f != 0]))
            error = plain_error(f, x, number) if in_rows > 1 else 1.0
            assert row["pearson_error"] == pytest.approx(0 if exact else min(error, 1), abs=1e-9)
    shown = open_snapshot(snapshot.manifest)
    attached = next(each for each in snapshot.attachments if each.kind == "correlated_neurons")
    cluster = some[0]
    panel = CorrelatedNeuronsPanel().read(
        shown, attached, Subject(cluster, feature_of(shown, cluster))
    )
    assert panel is not None
    ours = [row for row in rows if row["feature"] == cluster]
    assert [
        (each.label, each.pearson, each.error, each.page is not None)
        for each in panel.lists[0].neurons
    ] == [(f"mlp:{row['neuron']}", row["pearson"], row["pearson_error"], True) for row in ours]


def plain_error(f: Any, x: Any, number: Any) -> float:
    """Return the linearised standard error, token by token."""
    u, v = ((each - each.mean()) / each.std() for each in (f, x))
    r = float((u * v).mean())
    influence = (u * v - r * (u * u + v * v) / 2) / len(f)
    rows = sorted(set(number))
    of_rows = [influence[number == row].sum() for row in rows]
    return float(np.sqrt(np.square(of_rows).sum() * len(rows) / (len(rows) - 1)))


def test_errors_are_those_of_leaving_out_rows() -> None:
    random = np.random.default_rng(3)
    rows, tokens = 300, 20
    of_row = np.repeat(random.normal(size=(rows, 2)), tokens, axis=0)
    x = of_row[:, 0] + random.normal(size=rows * tokens)
    f = np.maximum(x + of_row[:, 1] + random.normal(size=rows * tokens) - 2, 0)
    row = np.repeat(np.arange(rows), tokens)
    values = TokenValues(sparse.csr_array(f[None]), sparse.csr_array(x[:, None]), row)
    found = values.most_correlated(5, 2)
    assert found.pearson.tolist() == pytest.approx([np.corrcoef(f, x)[0, 1]])
    left = [np.corrcoef(f[row != out], x[row != out])[0, 1] for out in range(rows)]
    jackknife = np.sqrt((rows - 1) * np.var(left))
    assert found.error[0] == pytest.approx(jackknife, rel=0.03)
    alone = np.sqrt((1 - found.pearson[0] ** 2) / (len(f) - 2))
    assert found.error[0] > 1.3 * alone, "tokens of a row are not independent"


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    _, snapshot = opened(tmp_path, 5, SOURCES[:1])
    with pytest.raises(SnapshotError, match="need a source of neurons that are watched alone"):
        CorrelatedNeurons().derive(Given(snapshot, read_dictionary), Options())
