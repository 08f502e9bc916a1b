"""From settings to a run record: what is written down and what does not fit."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.models.dtypes import pick_dtype
from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.runs.specs import (
    ClusteringSpec,
    DictionarySpec,
    ModelSpec,
    NeuronsSpec,
    RunSpec,
    settled,
    suggested_context,
)
from consumers.tuning.tuning_run import random_sample
from streams.errors import ModelError, RunError, SettingsError, StreamError
from streams.records.corpus import CorpusRecord
from streams.records.runs import RunRecord
from streams.wire import codec
from tests.consumers.conftest import with_source
from tests.consumers.created import create_run
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary, save_model


def test_the_record_says_what_the_numbers_depend_on(
    disk: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    run = create_run(replace(spec, mask_ids=(3,), mask_positions=(1, 0)), corpus, created="now")
    assert (run.corpus, run.partitions, run.context, run.created) == ("words", 2, CONTEXT, "now")
    assert run.model.location == str(disk / "gpt2")
    assert (run.model.vocabulary, run.model.micro_batch, run.model.threads) == (WORDS + 2, 4, 1)
    assert run.masked_ids.tolist() == [3, WORDS, WORDS + 1]
    assert run.masked_positions.tolist() == [0, 1]
    (source,) = run.sources
    assert (source.hook, source.components) == ("blocks.1.hook_resid_post", 48)
    assert source.coactivation
    assert codec.encode(codec.decode(RunRecord, codec.encode(run))) == codec.encode(run)


def test_the_same_settings_make_the_same_record(spec: RunSpec, corpus: CorpusRecord) -> None:
    assert codec.encode(create_run(spec, corpus)) == codec.encode(create_run(spec, corpus))


def test_tf32_is_in_the_record_and_set_by_the_worker(
    spec: RunSpec, corpus: CorpusRecord, caplog: pytest.LogCaptureFixture
) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    plain = create_run(spec, corpus)
    wanted = create_run(replace(spec, model=replace(spec.model, tf32=True)), corpus)
    assert (plain.model.tf32, wanted.model.tf32) == (False, True)
    assert replace(wanted, model=replace(wanted.model, tf32=False)).model == plain.model
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        found = {run: load_engine(make_plan(run), "cpu") for run in (wanted, plain)}
    (line,) = [record.getMessage() for record in caplog.records if "TF32" in record.getMessage()]
    assert "cpu has no TF32" in line
    batch = random_sample(corpus, 4)
    values = list[bytes]()
    try:
        for run, engine in found.items():
            values.append(engine.compute(batch, batch.mask).value.tobytes())
            asked = run.model.tf32
            assert torch.backends.cuda.matmul.allow_tf32 is asked
            assert torch.backends.cudnn.allow_tf32 is asked
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    assert values[0] == values[1]  # the processor has none
    assert settled(replace(spec, model=replace(spec.model, tf32=True)), plain).model.tf32


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_tf32_of_another_dtype_is_refused(spec: RunSpec, corpus: CorpusRecord, dtype: Any) -> None:
    asked = replace(spec, model=replace(spec.model, tf32=True, dtype=dtype))
    with pytest.raises(ModelError, match=f"the run computes in {dtype}: set model.dtype"):
        create_run(asked, corpus)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropped": (48,)}, "dropped component 48 does not exist, it has 48"),
        ({"hook": "blocks.9.hook_resid_post"}, "no hook 'blocks.9.hook_resid_post'; close to it"),
        ({"hook": "blocks.0.mlp.hook_post"}, "'sae' reads 32 values, hook .* has 128"),
        ({"name": "A b"}, "source 'A b' is not a usable name"),
        ({"threshold": -0.5}, "'sae': threshold -0.5 is no number from 0 on"),
        ({"threshold": float("nan")}, "threshold nan is no number from 0 on"),
    ],
)
def test_sources_that_do_not_fit_are_named(
    changes: dict[str, object], message: str, spec: RunSpec, corpus: CorpusRecord
) -> None:
    with pytest.raises(StreamError, match=message):
        create_run(with_source(spec, **changes), corpus)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rankings": ("best",)}, "rankings best: take each of maximum, last"),
        ({"rankings": ("last", "last=3")}, "rankings last, last=3: take each of .* at most once"),
        ({"rankings": ("last=0",)}, "ranking last=0: K is a number"),
        ({"rankings": ()}, "rankings are empty"),
        ({"edges": (1.0, 1.0)}, "edges must be numbers that rise"),
        ({"mask_ids": (62,)}, "62 lies outside the 62 token ids"),
        ({"mask_positions": (16,)}, "16 lies outside rows of 16"),
        ({"sources": ()}, "the run has no cluster"),
        ({"record_bytes": 4096, "k": 1000}, "lower k"),
    ],
)
def test_runs_that_cannot_be_are_refused(
    changes: dict[str, object], message: str, spec: RunSpec, corpus: CorpusRecord
) -> None:
    with pytest.raises(RunError, match=message):
        create_run(replace(spec, **changes), corpus)  # type: ignore[arg-type]


def test_names_of_sources_are_unique(spec: RunSpec, corpus: CorpusRecord) -> None:
    twice = (*spec.sources, NeuronsSpec("sae", hook="blocks.0.hook_resid_post"))
    with pytest.raises(SettingsError, match="two sources are named 'sae'"):
        create_run(replace(spec, sources=twice), corpus)


def test_the_corpus_must_fit_the_model(spec: RunSpec, corpus: CorpusRecord) -> None:
    with pytest.raises(ModelError, match=r"has token ids up to 64 .* knows 64"):
        create_run(spec, replace(corpus, vocabulary=65))
    with pytest.raises(ModelError, match=r"rows of 17 tokens, model .* takes 16"):
        create_run(spec, replace(corpus, context=17))


def test_an_id_that_no_text_becomes_may_lie_beyond_the_model(
    spec: RunSpec, corpus: CorpusRecord
) -> None:
    special = (*corpus.special_ids, 64)
    made = create_run(spec, replace(corpus, vocabulary=65, largest_id=61, special_ids=special))
    assert 64 in made.masked_ids


def test_longer_rows_than_a_dictionary_saw_are_said(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_model(tmp_path, "gpt2", n_positions=32)
    longer = replace(spec, model=replace(spec.model, path=str(folder)))
    with caplog.at_level(logging.WARNING):
        create_run(longer, replace(corpus, context=32))
    assert "trained at 16 tokens of context" in caplog.text


def test_clusterings_are_joined_to_the_sources(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({"a": ["sae:0", "sae:47"]}))
    run = create_run(replace(spec, clusterings=(ClusteringSpec(str(file)),)), corpus)
    assert run.clusterings[0].name == "groups"
    assert run.clusterings[0].index.tolist() == [0, 47]
    with pytest.raises(ModelError, match="two cluster files are named 'groups'"):
        create_run(replace(spec, clusterings=(ClusteringSpec(str(file)),) * 2), corpus)


def test_a_worker_refuses_what_has_changed(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    model = save_model(tmp_path / "model", "gpt2")
    sae = save_dictionary(tmp_path / "sae", "standard")
    own = replace(
        spec,
        model=replace(spec.model, path=str(model)),
        sources=(DictionarySpec("sae", path=str(sae)),),
    )
    plan = make_plan(create_run(own, corpus))
    assert load_engine(plan, "cpu").sources[0].components == 48
    save_dictionary(sae, "standard", seed=1)
    with pytest.raises(RunError, match=r"dictionary 'sae' .* is not the one that run run"):
        load_engine(plan, "cpu")
    save_dictionary(sae, "standard")
    save_model(model, "gpt2", seed=1)
    with pytest.raises(RunError, match=r"model .* is not the one"):
        load_engine(plan, "cpu")


def test_the_context_is_the_dictionarys_or_the_models(disk: Path) -> None:
    model = ModelSpec(str(disk / "gpt2"))
    assert suggested_context(model, 8) == 8
    assert suggested_context(model, 32) == suggested_context(model, None) == 16
    assert suggested_context(ModelSpec("gpt2"), None) == 128


def test_the_record_holds_what_auto_came_to(spec: RunSpec, corpus: CorpusRecord) -> None:
    auto = replace(spec, model=replace(spec.model, micro_batch="auto", dtype="auto"))
    run = create_run(auto, corpus)
    assert run.model.micro_batch in (1, 2, 4, 8)
    assert run.model.dtype == pick_dtype("auto", torch.device("cpu"))
    decoded = codec.decode(RunRecord, codec.encode(run))
    assert (decoded.model.micro_batch, decoded.model.dtype) == (
        run.model.micro_batch,
        run.model.dtype,
    )
    engine = load_engine(make_plan(decoded), "cpu")
    assert engine.plan.run.model.micro_batch == run.model.micro_batch


def test_a_choice_is_the_same_run_as_its_number(
    spec: RunSpec, corpus: CorpusRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.runs.creation.chosen_micro_batch", lambda *_: 2)
    auto = create_run(replace(spec, model=replace(spec.model, micro_batch="auto")), corpus)
    two = create_run(replace(spec, model=replace(spec.model, micro_batch=2)), corpus)
    assert codec.encode(auto) == codec.encode(two)


def test_a_run_that_is_there_keeps_its_choice(spec: RunSpec, corpus: CorpusRecord) -> None:
    known = create_run(spec, corpus)
    auto = replace(spec, model=replace(spec.model, micro_batch="auto", dtype="auto"))
    chosen = replace(spec.model, forward="transformers-onednn")
    assert settled(auto, known) == replace(spec, model=chosen)
    other = replace(spec, model=replace(chosen, micro_batch=7, dtype="float16"))
    assert settled(other, known).model.micro_batch == 7
    assert settled(other, known).model.dtype == "float16"
