"""Noise robustness against a plain twin in float64: one token, size and component at a time."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consumers.activations.measurements.normal_draws import draw
from consumers.activations.torch_engine import TorchEngine
from consumers.oracle.oracle import Oracle
from consumers.plan import make_plan
from consumers.runs.creation import prepare_run
from consumers.runs.loading import load_engine
from consumers.runs.specs import DictionarySpec, NeuronsSpec, RunSpec
from consumers.selection.selection import valid_tokens
from consumers.sources.source import LoadedSource
from consumers.statistics.noise_robustness import NAME
from streams.errors import OverflowingSumError, RunError
from streams.records.corpus import CorpusRecord
from tests.consumers.activations.measurements.test_health import batch_of
from tests.models_on_disk import save_dictionary

SIZES = (0.25, 0.5)
PARAMETERS = {"noise_robustness": {"size": 0.25, "sizes": 2, "factor": 2}}
Numbers = dict[tuple[str, float], Any]


def run_of(spec: RunSpec, corpus: CorpusRecord, *sources: Any, **changes: Any) -> TorchEngine:
    given = {"parameters": PARAMETERS, "sum_bits": 24, "mask_positions": (0,), **changes}
    made = replace(spec, sources=sources, **given)
    return prepare_run(made, replace(corpus, context=16))


def plain(engine: TorchEngine) -> tuple[Numbers, Numbers]:
    """Return the rows of both tables by (source:index, size) and (source, size)."""
    batch, _ = batch_of()
    valid = valid_tokens(engine.plan, batch)
    features: Numbers = defaultdict(lambda: np.zeros(4))
    jaccards: Numbers = defaultdict(list)
    ids = torch.from_numpy(batch.ids.astype(np.int64))
    for number, source in enumerate(engine.sources):
        values = engine.model.run(ids, [source.hook])[source.hook]
        out = np.zeros((int(valid.sum()), source.width), np.float32)
        scale = draw(batch.keys, valid, source.hook, source.width, out)
        run = engine.plan.run.sources[number]
        for size in SIZES:
            noise = torch.from_numpy((out.astype(np.float64) * scale * size).astype(np.float32))
            for x, z in zip(values[torch.from_numpy(valid)], noise, strict=True):
                sets = []
                active = [_activity(source, run, each[None]) for each in (x, x + z)]
                for index, (before, after) in enumerate(zip(*active, strict=True)):
                    found = features[(f"{source.name}:{index}", size)]
                    was, remains = before > run.threshold, after > run.threshold
                    found += [was, was and not remains, remains and not was,
                              abs(before * was - after * remains)]  # fmt: skip
                for each in active:
                    sets.append({n for n, value in enumerate(each) if value > run.threshold})
                if sets[0] | sets[1]:
                    jaccards[(source.name, size)].append(
                        len(sets[0] & sets[1]) / len(sets[0] | sets[1])
                    )
    return features, jaccards


def _activity(source: LoadedSource, run: Any, x: torch.Tensor) -> list[float]:
    value = source.encode(x)[0].double()
    value[list(run.dropped)] = 0
    return (value.abs() if run.sign == "absolute" else value).tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("on_device", [False, True])
def test_numbers_are_those_of_the_plain_twin(
    on_device: bool, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    sae = save_dictionary(tmp_path / "sae", "jumprelu")
    engine = run_of(
        spec,
        corpus,
        DictionarySpec("sae", path=str(sae), dropped=(3,)),
        NeuronsSpec("neurons", hook="blocks.0.mlp.hook_post", threshold=0.3, dropped=(0,)),
    )
    features, jaccards = plain(engine)
    batch, valid = batch_of()
    if on_device:
        engine = TorchEngine(engine.plan, engine.model, engine.sources, on_device=True)
        measured = engine.compute_on_device(batch, valid).measured
        assert (measured[NAME] == engine.compute(batch, valid).measured[NAME]).all()
    oracle = Oracle(engine.plan, engine)
    oracle.add(replace(batch, partition=0))
    tables = oracle.tables([b"a"])
    labels = [engine.plan.component_label(n) for n in range(engine.plan.components)]
    rows = tables["noise_robustness"].to_pylist()
    for row in rows:
        was, lost, gained, change = features.pop((labels[row["feature"]], row["size"]))
        assert (row["lost_tokens"], row["gained_tokens"]) == (lost, gained)
        np.testing.assert_allclose(row["flipped"], lost / max(1, was), atol=1e-12)
        np.testing.assert_allclose(row["mean_change"], change / max(1, was + gained), atol=1e-6)
    assert all(not left[[0, 2]].any() for left in features.values()), "never active"
    assert len({row["flipped"] for row in rows}) > 10
    for row in tables["noise_sets"].to_pylist():
        found = jaccards.pop((row["source"], row["size"]))
        assert row["tokens"] == len(found)
        np.testing.assert_allclose(row["jaccard"], np.mean(found), atol=1e-6)
        bins = np.minimum((np.array(found) * 10 + 1e-9).astype(int), 9)
        assert row["jaccard_bins"] == np.bincount(bins, minlength=10).tolist()
    assert not jaccards


@pytest.mark.filterwarnings("ignore")
def test_a_batch_gives_the_same_bits_again_and_runs_without_it_measure_nothing(
    spec: RunSpec, corpus: CorpusRecord
) -> None:
    engine, (batch, valid) = run_of(spec, corpus, *spec.sources), batch_of()
    first = engine.compute(batch, valid)
    engine.compute(replace(batch, keys=batch.keys[::-1].copy()), valid)
    again = engine.compute(batch, valid)
    assert (first.measured[NAME] == again.measured[NAME]).all()
    assert first.value.tobytes() == again.value.tobytes()
    nothing = engine.compute(batch, valid & False)
    assert nothing.measured == {}
    plain_run = prepare_run(spec, replace(corpus, context=16))
    without = plain_run.compute(batch, valid)
    assert without.measured == {}
    assert without.value.tobytes() == first.value.tobytes()
    huge = {"noise_robustness": {"size": 1e6}}
    fine = make_plan(run_of(spec, corpus, *spec.sources, parameters=huge, sum_bits=40).plan.run)
    with pytest.raises(OverflowingSumError, match=r"noise changes an activation of source sae"):
        TorchEngine(fine, engine.model, engine.sources).compute(batch, valid)
    assert load_engine(engine.plan, "cpu").compute(batch, valid).measured[NAME].tobytes() == (
        first.measured[NAME].tobytes()
    )


@pytest.mark.filterwarnings("ignore")
def test_sources_that_look_back_are_refused(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    folder = save_dictionary(tmp_path, "temporal", n_heads=4, bottleneck_factor=1)
    with pytest.raises(RunError, match="components of dictionary 't' depend on earlier positions"):
        run_of(spec, corpus, DictionarySpec("t", path=str(folder)))
