"""Continuations from cached keys and values are those of each row alone, read again each time."""

import copy
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.asking.asker import Asker
from consumers.interventions.changes import Change, ChangedRow
from consumers.interventions.generating import continuations, with_cache
from consumers.interventions.intervener import Intervener
from streams.arrays import I64
from streams.errors import NotFiniteError, QuestionError
from tests.consumers.interventions.conftest import Loaded
from tests.consumers.interventions.test_batches import MARGIN, NEURONS, alone, greedy, rows
from tests.models_on_disk import CONTEXT, WORDS


@pytest.fixture(scope="module", params=["gpt2", "llama", "gemma2"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Absolute positions, rotary ones, and a window of 4 tokens, which rows outgrow."""
    changes = {"sliding_window": 4} if request.param == "gemma2" else {}
    return Loaded(tmp_path_factory.mktemp("grown"), request.param, **changes)


@settings(max_examples=20)
@given(batch=st.lists(rows(), min_size=1, max_size=6), tokens=st.integers(1, 4), seed=st.integers())
def test_cached_logits_are_those_of_each_row_alone(
    family: Loaded, batch: list[ChangedRow], tokens: int, seed: int
) -> None:
    new = np.random.default_rng(abs(seed)).integers(0, WORDS, (len(batch), tokens))
    seen: list[list[torch.Tensor]] = [[] for _ in batch]

    def spelled(logits: torch.Tensor, numbers: Sequence[int]) -> I64:
        """Take given tokens, and keep the logits by which others would have been taken."""
        taken = [new[n, len(seen[n])] for n in numbers]
        for n, one in zip(numbers, logits, strict=True):
            seen[n].append(one)
        return np.array(taken)

    found = with_cache(family.intervener, batch, tokens, spelled)
    for n, row in enumerate(batch):
        expected = row.longer(new[n], bool(row.changes))
        assert found[n].ids.tolist() == expected.ids.tolist()
        assert found[n].at.tolist() == expected.at.tolist()
        logits = alone(family, expected)[-tokens - 1 : -1]
        assert (torch.stack(seen[n]) - logits).abs().max() <= MARGIN


def test_continuations_in_a_batch_are_those_of_each_alone(family: Loaded) -> None:
    texts = family.intervener.rows(["w1 w2 w3 w4", "w9", "w5 w6 w7 w8 w9 w1 w2"])
    changed = [
        replace(row, changes=changes)
        for row in texts
        for changes in ((), (Change(0, 3, "add", 4.0),), (Change(NEURONS, 2, "set", -4.0),))
    ]
    expected = [greedy(family, row, 5).ids.tolist() for row in changed]
    for most in (None, 2):
        found = continuations(family.intervener, changed, 5, most=most)
        assert [row.ids.tolist() for row in found] == expected
    drawn = continuations(family.intervener, changed, 3, temperature=1.0, seed=4)
    again = continuations(family.intervener, changed[:2], 3, temperature=1.0, seed=4)
    assert [row.ids.tolist() for row in drawn[:2]] == [row.ids.tolist() for row in again]
    with pytest.raises(QuestionError, match="the model takes 16"):
        continuations(family.intervener, changed, CONTEXT)


def test_prompts_of_unlike_length_share_no_batch(family: Loaded) -> None:
    short, long = family.intervener.rows(["w1", "w5 w6 w7 w8 w9 w1 w2"])
    calls: list[tuple[int, ...]] = []
    watched = changed_model(family.intervener, lambda model, *args: calls.append(args[0].shape))
    found = continuations(watched, [long, short], 2)
    assert calls == [(1, 2), (1, 1), (1, 8), (1, 1)]
    expected = [greedy(family, row, 2).ids.tolist() for row in (long, short)]
    assert [row.ids.tolist() for row in found] == expected


def test_a_cache_that_is_off_is_not_used_and_it_is_said(
    family: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    rows = family.intervener.rows(["w1 w2 w3 w4", "w9"])
    expected = [row.ids.tolist() for row in continuations(family.intervener, rows, 3)]

    def forget(model: Any, ids: torch.Tensor, changes: Any = (), past: Any = None) -> Any:
        return model.extend(ids, changes)  # as if nothing had been before

    def fail(model: Any, *args: Any, **more: Any) -> Any:
        raise RuntimeError("no such cache")

    for extend, said in ((forget, "logits are .* off"), (fail, "it failed: no such cache")):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            off = changed_model(family.intervener, instead=extend)
            assert [row.ids.tolist() for row in continuations(off, rows, 3)] == expected
        (record,) = caplog.records
        assert re.search(said, record.getMessage())


def test_logits_that_are_no_numbers_are_refused(family: Loaded) -> None:
    (row,) = family.intervener.rows(["w1 w2"])
    huge = replace(row, changes=(Change(0, 3, "add", float("inf")),))
    with pytest.raises(NotFiniteError, match="try a smaller strength"):
        continuations(family.intervener, [huge], 2)


def changed_model(intervener: Intervener, seen: Any = None, instead: Any = None) -> Intervener:
    """Return the intervener with a model whose ``extend`` is watched, or another one's."""

    class Other:
        def __getattr__(self, name: str) -> Any:
            return getattr(intervener.asker.engine.model, name)

        def extend(self, *args: Any, **more: Any) -> Any:
            model = intervener.asker.engine.model
            if seen is not None:
                seen(model, *args)
            return instead(model, *args, **more) if instead else model.extend(*args, **more)

    engine: Any = copy.copy(intervener.asker.engine)
    engine.model = Other()
    changed = Intervener(Asker(intervener.asker.setup, engine, intervener.asker.tokenizer))
    if seen is not None:
        changed._cache_fault.append("")
    return changed
