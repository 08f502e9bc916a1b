"""Ablations and steerings as asked for: what takes an activation's place, and the scale."""

from dataclasses import replace

import numpy as np
import pytest

from consumers.interventions.answering import ablate, steer
from consumers.interventions.changes import Change
from consumers.interventions.effects import effects
from consumers.interventions.record import intervention_record, read_record, to_plain
from consumers.interventions.requests import Ablation, Steering
from streams.errors import QuestionError
from tests.consumers.interventions.conftest import TEXTS, Loaded


def of_libraries(loaded: Loaded) -> list[np.ndarray]:
    """Return the feature at each token that counts of the texts, by the libraries."""
    rows = loaded.intervener.rows(TEXTS)
    return [loaded.codes(row)[1:, loaded.feature].numpy() for row in rows]


def label(loaded: Loaded) -> str:
    return f"standard:{loaded.feature}"


def test_a_mean_is_that_over_the_tokens_of_all_texts(loaded: Loaded) -> None:
    mean = float(np.concatenate(of_libraries(loaded)).mean())
    (found,) = ablate(loaded.intervener, Ablation(TEXTS, (label(loaded),), by="mean")).effects
    change = Change(0, loaded.feature, "set", mean)
    rows = loaded.intervener.rows(TEXTS)
    (expected,) = effects(
        loaded.intervener, rows, [lambda _: change], [("standard", loaded.feature)]
    )
    assert (found.kl, found.loss) == pytest.approx((expected.kl, expected.loss), abs=1e-6)
    clamped = ablate(loaded.intervener, Ablation(TEXTS, (label(loaded),), by="clamp", value=mean))
    assert clamped.effects[0].kl == pytest.approx(found.kl, abs=1e-6)
    (zero,) = ablate(loaded.intervener, Ablation(TEXTS, (label(loaded),))).effects
    assert zero.kl != pytest.approx(found.kl, abs=1e-6)


def test_resampled_values_are_drawn_from_the_texts_by_the_seed(loaded: Loaded) -> None:
    from consumers.asking.rows import rows_of
    from consumers.interventions.replacing import replacements

    asker = loaded.intervener.asker
    rows = rows_of(TEXTS, asker.tokenizer, asker.setup)
    active = asker.active(rows)
    values = np.concatenate(of_libraries(loaded))
    drawn = []
    for seed in (1, 1, 2):
        request = Ablation(TEXTS, (label(loaded),), by="resample", seed=seed)
        (change,) = replacements(request, [(0, loaded.feature)], rows, active, [0])
        amounts = [change(text).amounts(len(rows.ids[text])) for text in range(len(TEXTS))]
        drawn.append(np.concatenate(amounts))
        assert all(np.abs(values - one).min() < 2e-5 for one in drawn[-1])
    assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()


def test_without_a_name_the_most_active_features_are_ablated_and_the_largest_effect_is_first(
    loaded: Loaded,
) -> None:
    found = ablate(loaded.intervener, Ablation(TEXTS, top=2, at="last"))
    assert {one.source for one in found.effects} >= {"standard", "neurons"}
    assert [one.kl for one in found.effects] == sorted((e.kl for e in found.effects), reverse=True)
    assert {one.tokens for one in found.effects} == {7}  # those that count, wherever it changes


def test_a_scale_is_the_largest_activation_over_the_prompts(loaded: Loaded) -> None:
    largest = float(np.concatenate(of_libraries(loaded)).max())
    assert largest > 0
    request = Steering(TEXTS, label(loaded), (0.5, 3.0), tokens=2)
    found = steer(loaded.intervener, request)
    assert found.scale == pytest.approx(largest, abs=2e-5)
    assert found.best in (0.0, 0.5, 3.0)
    assert len(found.effects) == 2
    summed = sum(loaded.codes(row).sum(0) for row in loaded.intervener.rows(TEXTS))
    silent = int(np.flatnonzero(np.asarray(summed) == 0)[0])
    with pytest.raises(QuestionError, match="is active nowhere in the prompts"):
        steer(loaded.intervener, replace(request, feature=f"standard:{silent}"))


def test_a_record_holds_what_is_wanted(loaded: Loaded) -> None:
    import json

    for request in (Ablation(TEXTS, by="mean"), Steering(TEXTS, "standard:3", (1.0,), 2.0)):
        record = intervention_record(request, loaded.intervener.asker.setup, "2030-01-01")
        data = json.dumps({"answer": 1, "record": to_plain(record)}).encode()
        assert read_record(data, "file") == record
    for refused, said in (
        (lambda: Ablation(()), "give a text"),
        (lambda: Steering(TEXTS, "standard:3", ()), "give an alpha"),
        (lambda: Steering(TEXTS, "standard:3", (float("nan"),)), "no finite number"),
        (lambda: Steering(TEXTS, "standard:3", (1.0,), tokens=0), "tokens is 0"),
        (lambda: Ablation(TEXTS, value=1e9), "value is"),
    ):
        with pytest.raises(QuestionError, match=said):
            refused()
