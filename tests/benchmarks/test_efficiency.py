"""The efficiency benchmark, end to end on a tiny shape."""

import json
import math
import subprocess
import sys
import warnings
from contextlib import nullcontext

import numpy as np
import pytest

from benchmarks.bare import Bare
from benchmarks.candidates import DEFAULT, EMBEDDED, OWN
from benchmarks.efficiency import Options, main
from benchmarks.efficiency_point import BATCH_ROWS, SEED, measure
from benchmarks.shapes import Shape, batches, build, token_rows
from consumers.oracle.oracle_run import oracle_tables
from streams.snapshots.content import content_hash

TINY = Shape("tiny", 2, 32, 4, 200, 1, 128, context=32)
OPTIONS = Options((TINY,), (130,), 2, kafka=False, l0=12.0)
BROKERS = {False: lambda: nullcontext("memory://bench-efficiency")}


@pytest.fixture(autouse=True)
def _quiet():
    """The model libraries warn of what they themselves do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build(TINY, folder, l0=OPTIONS.l0)
    return folder


def test_a_quick_run_gives_finite_ratios_and_every_table(parts, tmp_path, capsys):
    main(OPTIONS, tmp_path, parts)
    found = json.loads((tmp_path / "efficiency.json").read_text())
    assert [row["service"] for row in found["rows"]] == [one.name for one in EMBEDDED]
    for row in found["rows"]:
        assert len(row["efficiency"]["rounds"]) == 2
        assert all(math.isfinite(value) and value > 0 for value in row["efficiency"]["rounds"])
    stages = found["tables"]["Stages, seconds"]
    for row in stages:
        assert row["forward"] > 0
        assert 0 < row["tail"] < row["seconds"]
    agreed = found["tables"]["Top samples, against those of transformer-lens' forward"]
    assert all(0 <= row["common top samples, share of all"] <= 1 for row in agreed)
    assert "transformer-lens' forward" in capsys.readouterr().out


def test_what_is_timed_is_the_whole_service(parts, tmp_path):
    built = build(TINY, parts, l0=OPTIONS.l0)
    turns = []
    found = measure(
        built, 130, 1, (OWN, DEFAULT), BROKERS, tmp_path, turns.append, lambda: turns.append("")
    )
    assert len(found.floor.values) == 1
    assert len(turns) == 4 + 2
    text = list(batches(TINY, 130, BATCH_ROWS, seed=SEED))
    words = tuple(f"w{number} ".encode() for number in range(TINY.vocabulary))
    for candidate in (OWN, DEFAULT):
        engine = found.engines[candidate.name]
        oracle = oracle_tables(engine.plan, engine, iter(text), words)
        assert found.content(candidate) == content_hash(oracle)
    assert found.engines[OWN.name].plan.run.model.forward == "transformer-lens"


def test_the_floor_computes_each_row_once_per_round(parts, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Bare, "run", lambda self, ids, rows: seen.append(np.array(ids)))
    built = build(TINY, parts, l0=OPTIONS.l0)
    measure(built, 130, 1, EMBEDDED, BROKERS, tmp_path)
    ids = token_rows(TINY, 130, SEED)
    np.testing.assert_array_equal(seen[0], ids[:BATCH_ROWS])  # before the rounds
    np.testing.assert_array_equal(np.concatenate(seen[1:]), ids)


def test_an_unknown_benchmark_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no benchmark 'nothing'; take some of efficiency" in done.stderr
