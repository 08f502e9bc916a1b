"""Geometry of active directions and of hook values, against plain loops over a real snapshot."""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest

import millrace
from consumers.activations.measurements.hook_values import HookValuesOfRun
from consumers.plan import make_plan
from consumers.snapshots.assembly import assemble_ready
from consumers.snapshots.snapshots import write_shard
from consumers.statistics.registry import optional_statistics
from downstream.derived.attach import attach
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import Dictionary
from downstream.derived.geometry import Geometry, _shape
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from streams.records.measures import measure
from streams.snapshots.manifests import FINAL
from streams.transport.connect import connect
from tests import factories
from tests.consumers.folding import folded_states
from tests.published import publish

WIDTH, X_WIDTH = 5, 3
DECODER = np.random.default_rng(0).normal(size=(12, WIDTH)).astype(np.float32)
NOW = "2031-05-06T07:08:09+00:00"


@dataclass(frozen=True)
class MeasuringEngine(factories.DenseEngine):
    """Values of a hook, three for each valid token, that follow from where it stands."""

    def hook(self, batch: Any, valid: Any) -> np.ndarray[Any, Any]:
        random = np.random.default_rng([batch.partition, batch.sequence])
        return random.normal(size=(*valid.shape, X_WIDTH))[valid] * [3, 1, 0.1] + 1

    def compute(self, batch: Any, valid: Any) -> Any:
        entries = HookValuesOfRun(self.plan)._entries(self.hook(batch, valid))
        return replace(super().compute(batch, valid), measured={"hook_values@2": entries})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A final snapshot with domains and hook values, its plan, its batches and its engine."""
    base = factories.run_record()
    more = (*optional_statistics(["domains"]),
            measure("hook_values@2", one_in=1, bits=16, widths=[X_WIDTH]))  # fmt: skip
    store = str(tmp_path_factory.mktemp("store"))
    plan = make_plan(replace(base, statistics=(*base.statistics, *more), store=store))
    client, domains = connect("memory://geometry"), ("code", "prose", "")
    batches = [
        replace(batch, domains=tuple(domains[row % 3] for row in range(len(batch.ids))))
        for batch in factories.batches(per_partition=3, rows=3)
    ]
    publish(client, plan.run, batches)
    engine = MeasuringEngine(plan)
    states = folded_states(plan, engine, batches)
    for shard, group in groupby(states, lambda state: state.shard):
        write_shard(plan, FINAL, shard, list(group), client)
    (manifest,) = assemble_ready(plan, client, 1.0).made
    return manifest, plan, batches, engine


def given_of(manifest: Any) -> Given:
    def load(source: Any) -> Dictionary:
        return Dictionary("sae", "here", "h", "h", lambda: None, lambda: DECODER)

    return Given(Snapshot(manifest), load)


def plain(found: list[tuple[int, int]]) -> dict[str, Any]:
    """Return the shape of directions by their definition. found: (feature, mass)."""
    mass = sum(m for _, m in found)
    unit = {f: DECODER[f].astype(float) / np.linalg.norm(DECODER[f]) for f, _ in found}
    centre = sum(m * unit[f] for f, m in found) / mass
    inertia, spread = np.zeros((WIDTH, WIDTH)), np.zeros((WIDTH, WIDTH))
    for feature, m in found:
        r = unit[feature] - centre
        inertia += m / mass * (r @ r * np.eye(WIDTH) - np.outer(r, r))
        spread += m / mass * np.outer(r, r)
    return {
        "mass": mass,
        "features": len(found),
        "centre_length": np.linalg.norm(centre),
        "moments_of_inertia": np.linalg.eigvalsh(inertia),
        "eigenvalues": np.linalg.eigvalsh(spread)[::-1],
        "participation_ratio": np.trace(spread) ** 2 / np.trace(spread @ spread),
    }


def test_directions_and_hook_values_have_the_shape_of_their_definitions(made: Any) -> None:
    manifest, _, batches, engine = made
    attach(Geometry(), given_of(manifest), Options(), created=NOW)
    tables = millrace.open(manifest.store).attachment("geometry")
    firings: Any = defaultdict(lambda: defaultdict(int))
    values = []
    for batch in batches:
        valid = batch.mask & (batch.ids != 0)
        values.append(engine.hook(batch, valid))
        found = engine.compute(batch, valid)
        for component, row in zip(found.component.tolist(), found.row.tolist(), strict=True):
            firings["run", ""][component] += 1
            if batch.domains[row]:
                firings["domain", batch.domains[row]][component] += 1
    rows = tables["direction_geometry"].to_pandas().to_dict("records")
    assert [(row["scope"], row["domain"]) for row in rows] == [
        ("domain", "code"), ("domain", "prose"), ("run", "")
    ]  # fmt: skip
    for row in rows:
        expected = plain(sorted(firings[row["scope"], row["domain"]].items()))
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, atol=1e-9, err_msg=name)
        assert row["total_variance"] == pytest.approx(sum(row["eigenvalues"]))
    (spectrum,) = tables["hook_spectrum"].to_pandas().to_dict("records")
    x = np.concatenate(values)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    np.testing.assert_allclose(spectrum["eigenvalues"], eigenvalues, atol=1e-4)
    assert spectrum["tokens"] == len(x)
    assert 1 < spectrum["participation_ratio"] < 2


@pytest.mark.parametrize("d", [2, 7])
def test_shapes_that_are_known(d: int) -> None:
    ball = _shape(np.eye(d) * 3)
    assert ball["total_variance"] == pytest.approx(3 * d)
    assert ball["participation_ratio"] == pytest.approx(d)
    assert ball["effective_rank"] == pytest.approx(d)
    assert ball["anisotropy"] == pytest.approx(0)
    direction = np.random.default_rng(d).normal(size=d)
    line = _shape(np.outer(direction, direction))
    for name in ("participation_ratio", "effective_rank", "anisotropy"):
        assert line[name] == pytest.approx(1), name
    halves = _shape(np.diag([1.0, 1.0, *np.zeros(d - 2)]))
    assert halves["effective_rank"] == pytest.approx(2)
    assert set(_shape(np.zeros((d, d))).pop("eigenvalues")) == {0.0}


def test_a_run_without_directions_and_hook_values_is_refused(made: Any) -> None:
    manifest = made[0]
    tables = tuple(t for t in manifest.tables if t.name != "hook_values")
    neurons = [{**source, "kind": "neurons"} for source in manifest.about["sources"]]
    bare = replace(manifest, tables=tables, about={**manifest.about, "sources": neurons})
    with pytest.raises(SnapshotError, match="no geometry: no source with directions is active"):
        Geometry().derive(given_of(bare), Options())
