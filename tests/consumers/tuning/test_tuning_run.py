"""Tuning on a real, tiny model: trials are what a run computes, and refusals are said."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from consumers.activations.torch_engine import TorchEngine
from consumers.models.dtypes import measured_dtypes, pick_dtype
from consumers.runs.creation import prepare_run
from consumers.runs.specs import RunSpec
from consumers.tuning.tuning import Effort
from consumers.tuning.tuning_run import (
    chosen_micro_batch,
    compare_dtypes,
    filled,
    measure_engine,
    random_sample,
    with_micro_batch,
)
from streams.errors import ModelError
from streams.records.corpus import CorpusRecord
from tests import factories
from tests.models_on_disk import WORDS

BRIEF = Effort(seconds=0.0, least=1)


class Limited:
    """A model that computes up to so many rows at a time, and notes how many it was given."""

    def __init__(self, model: Any, most: int, wrong: float = 0.0) -> None:
        self._model, self._most, self._wrong = model, most, wrong
        self.rows: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def run(self, ids: torch.Tensor, hooks: list[str]) -> dict[str, torch.Tensor]:
        self.rows.append(len(ids))
        if len(ids) > self._most:
            raise torch.OutOfMemoryError("out of memory")
        found = self._model.run(ids, hooks)
        return {name: values + self._wrong for name, values in found.items()}


Limit = Callable[..., tuple[TorchEngine, Limited]]


@pytest.fixture
def limited(spec: RunSpec, corpus: CorpusRecord) -> Limit:
    """The run's engine on a limited model."""

    def make(most: int, wrong: float = 0.0) -> tuple[TorchEngine, Limited]:
        engine = prepare_run(spec, corpus)
        model: Any = Limited(engine.model, most, wrong)
        return TorchEngine(engine.plan, model, engine.sources), model

    return make


def test_each_size_is_what_the_model_is_given(limited: Limit, corpus: CorpusRecord) -> None:
    engine, model = limited(8)
    found = measure_engine(engine, random_sample(corpus, 8), 8, BRIEF)
    assert [one.micro_batch for one in found] == [1, 2, 4, 8]
    assert set(model.rows) == {1, 2, 4, 8}
    assert all(one.fits and one.rate > 0 and one.peak for one in found)


def test_a_size_that_the_engine_has_to_split_does_not_fit(
    limited: Limit, corpus: CorpusRecord
) -> None:
    engine, _ = limited(2)
    found = measure_engine(engine, random_sample(corpus, 8), 8, BRIEF)
    assert [(one.micro_batch, one.fits) for one in found] == [(1, True), (2, True), (4, False)]
    assert chosen_micro_batch(engine, random_sample(corpus, 8), 8, BRIEF) in (1, 2)


def test_without_a_size_that_works_there_is_no_choice(limited: Limit, corpus: CorpusRecord) -> None:
    sample = random_sample(corpus, 8)
    with pytest.raises(ModelError, match="not even one row of 16 tokens fits"):
        chosen_micro_batch(limited(0)[0], sample, 8, BRIEF)
    with pytest.raises(ModelError, match=r"NaN or infinity .*; set model.micro_batch"):
        chosen_micro_batch(limited(8, float("nan"))[0], sample, 8, BRIEF)


def test_a_dtype_that_overflows_is_refused_and_the_others_go_on(
    limited: Limit, corpus: CorpusRecord
) -> None:
    engines = iter([limited(8, float("inf"))[0], limited(8)[0]])
    sample = random_sample(corpus, 8)
    wrong, right = compare_dtypes(engines, sample, 8, BRIEF)
    assert "NaN or infinity" in wrong.refused
    assert wrong.best is None
    assert right.best is not None


def test_filled_rows_are_full_and_of_the_sample() -> None:
    sample = factories.batch([[1, 2, 3], [4, 9, 9], [9, 9, 9]], [3, 1, 0])
    found = filled(sample, 5)
    assert found.ids.tolist() == [[1, 2, 3], [4, 4, 4]] * 2 + [[1, 2, 3]]
    assert found.mask.all()
    found.check(10)


def test_random_rows_hold_no_special_ids_and_are_always_the_same(corpus: CorpusRecord) -> None:
    sample = random_sample(corpus, 64)
    sample.check(corpus.vocabulary)
    assert set(np.unique(sample.ids)) == set(range(WORDS))
    assert (sample.ids == random_sample(corpus, 64).ids).all()


def test_a_plan_for_a_trial_differs_in_nothing_else() -> None:
    plan = factories.plan()
    changed = with_micro_batch(plan, 3)
    assert changed.run.model == replace(plan.run.model, micro_batch=3)
    assert changed.members is plan.members


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ({"bf16": True}, "bfloat16"),
        ({"avx512_f": True, "avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    cpu = torch.device("cpu")
    assert pick_dtype("auto", cpu) == expected
    assert [pick_dtype(name, cpu) for name in ("float32", "float16")] == ["float32", "float16"]


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_auto_asks_a_cuda_device_for_its_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_dtype("auto", torch.device("cuda")) == expected


def test_auto_is_float32_on_other_devices() -> None:
    assert pick_dtype("auto", torch.device("mps")) == "float32"
    assert measured_dtypes(torch.device("cpu")) == ("float32", "bfloat16")
    assert measured_dtypes(torch.device("cuda")) == ("float32", "bfloat16", "float16")
