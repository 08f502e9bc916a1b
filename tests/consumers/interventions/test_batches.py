"""Changes of many rows in one batch are those of each row alone by transformer-lens and SAELens."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.interventions.changes import Change, ChangedRow
from consumers.interventions.effects import effects
from consumers.interventions.strengths import strengths
from consumers.interventions.writers import load_writer
from streams.errors import QuestionError
from tests.consumers.interventions.conftest import READS, RESID, TEXTS, WRITES, Loaded
from tests.models_on_disk import WIDTH, WORDS

MARGIN = 1e-4
NEURONS = 3


@st.composite
def rows(draw: Any) -> ChangedRow:
    size = draw(st.integers(2, 12))
    ids = np.array(draw(st.lists(st.integers(0, WORDS - 1), min_size=size, max_size=size)))
    at = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    source = draw(st.integers(0, NEURONS))
    changes = st.builds(
        Change,
        source=st.just(source),
        index=st.integers(0, WIDTH - 1),
        kind=st.sampled_from(["add", "set"]),
        amount=st.one_of(
            st.floats(-3, 3, width=32),
            st.lists(st.floats(0, 3, width=32), min_size=size, max_size=size).map(
                lambda numbers: np.array(numbers, np.float32)
            ),
        ),
    )
    # Two changes of one feature would be two amounts for it: each is of another.
    several = draw(st.lists(changes, max_size=2, unique_by=lambda change: change.index))
    return ChangedRow(ids, at, tuple(several))


def alone(loaded: Loaded, row: ChangedRow) -> torch.Tensor:
    """Return the logits of one row by transformer-lens, changed with SAELens' encode and decode."""
    at = torch.from_numpy(row.at)[:, None]
    read: list[torch.Tensor] = []

    def added(values: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(values)
        for change in row.changes:
            amount = torch.from_numpy(change.amounts(len(row.ids)))[:, None]
            if change.source == NEURONS:
                now = values[:, change.index, None]
                direction = torch.nn.functional.one_hot(torch.tensor(change.index), WIDTH).float()
                total += (amount if change.kind == "add" else amount - now) * direction
                continue
            sae = loaded.saes[change.source]
            codes = sae.encode(read[0])
            if change.kind == "add":
                total += amount * sae.W_dec[change.index]
            else:
                other = codes.clone()
                other[:, change.index] = amount[:, 0]
                total += sae.decode(other) - sae.decode(codes)
        return torch.where(at, total, 0.0)

    def reads(values: torch.Tensor, hook: Any) -> None:
        read[:] = [values[0]]

    def writes(values: torch.Tensor, hook: Any) -> torch.Tensor:
        return values + added(values[0])[None]

    transcodes = any(change.source == 2 for change in row.changes)
    hooks = [(READS, reads), (WRITES, writes)] if transcodes else [(RESID, reads), (RESID, writes)]
    with torch.inference_mode():
        found: torch.Tensor = loaded.net.run_with_hooks(
            torch.from_numpy(row.ids)[None], fwd_hooks=hooks if row.changes else []
        )[0]
    return found


@settings(max_examples=20)
@given(batch=st.lists(rows(), min_size=1, max_size=9), most=st.sampled_from([None, 3]))
def test_a_batch_of_changes_is_each_row_alone(
    loaded: Loaded, batch: list[ChangedRow], most: int | None
) -> None:
    for row, found in zip(batch, loaded.intervener.logits(batch, most), strict=True):
        expected = alone(loaded, row)
        assert (found - expected).abs().max() <= MARGIN
        best = expected.topk(2, dim=-1).values
        sure = best[:, 0] - best[:, 1] > 2 * MARGIN
        assert found.argmax(-1)[sure].equal(expected.argmax(-1)[sure])


def test_effects_are_those_worked_out_one_at_a_time(loaded: Loaded) -> None:
    texts = loaded.intervener.rows(["w1 w2 w3 w4", "w9 w8 w7"])
    names = [(source, index) for source in range(NEURONS + 1) for index in (1, 5)]
    changes = [lambda _, n=name: Change(n[0], n[1], "set", 2.0) for name in names]
    found = effects(loaded.intervener, texts, changes, [("s", n) for _, n in names], most=4)
    for effect, name in zip(found, names, strict=True):
        kl, loss, shift = [], [], torch.zeros(64)
        for row in texts:
            plain = alone(loaded, row).log_softmax(-1)
            other = alone(loaded, replace(row, changes=(Change(*name, "set", 2.0),)))
            changed = other.log_softmax(-1)
            after = torch.from_numpy(row.ids[1:])
            counts = torch.from_numpy(row.at)
            assert counts.tolist() == [False] + [True] * (len(row.ids) - 1)  # the BOS is masked
            kl += (plain.exp() * (plain - changed)).sum(-1)[counts].tolist()
            gap = (plain - changed)[:-1].gather(1, after[:, None])[:, 0]
            loss += gap[counts[:-1]].tolist()
            shift += (changed[-1].exp() - plain[-1].exp()) / len(texts)
        assert effect.kl == pytest.approx(np.mean(kl), abs=1e-4)
        assert effect.loss == pytest.approx(np.mean(loss), abs=1e-4)
        assert (effect.tokens, effect.predicted) == (len(kl), len(loss))
        known = shift[: WORDS + 2].sort(descending=True).values
        expected = [*known[:5].tolist(), *known.flip(0)[:5].tolist()]
        assert [one.probability for one in effect.shifts] == pytest.approx(expected, abs=1e-4)


def greedy(loaded: Loaded, row: ChangedRow, tokens: int) -> ChangedRow:
    """Return the likeliest continuation, one row and one known token at a time."""
    for _ in range(tokens):
        best = alone(loaded, row)[-1:, : WORDS + 2].argmax(-1).numpy()
        row = row.longer(best, bool(row.changes))
    return row


def test_scores_of_strengths_are_as_they_are_defined(loaded: Loaded) -> None:
    texts = loaded.intervener.rows(TEXTS)
    alphas = (0.5, 4.0)
    feature = loaded.feature
    found = strengths(loaded.intervener, texts, (0, feature), alphas, scale=2.0, tokens=4)
    assert [one.alpha for one in found] == [0.0, *alphas]
    plain = [greedy(loaded, row, 4) for row in texts]
    for one in found:
        change = (Change(0, feature, "add", one.alpha * 2.0),) if one.alpha else ()
        grown = [greedy(loaded, replace(row, changes=change), 4) for row in texts]
        peaks = [loaded.codes(row)[-4:, feature].max() for row in grown]
        concept = np.mean([min(1.0, float(peak) / 2.0) for peak in peaks])
        own, base = (np.mean([loss(loaded, row) for row in rows]) for rows in (grown, plain))
        fluency = min(1.0, float(np.exp(base - own)))
        assert (one.concept, one.fluency) == pytest.approx((concept, fluency), abs=1e-3)
        together = concept + fluency
        assert one.score == pytest.approx(2 * concept * fluency / together, abs=1e-3)
        words = [f"w{n}" if n < WORDS else "<end>" for n in grown[0].ids[-4:] if n <= WORDS]
        assert one.texts[0].replace("<unknown>", "").split() == words


def loss(loaded: Loaded, row: ChangedRow) -> float:
    """Return the plain model's cross-entropy of a row's last four tokens."""
    spoken = alone(loaded, replace(row, changes=()))[-5:-1].log_softmax(-1)
    return -float(spoken.gather(1, torch.from_numpy(row.ids[-4:])[:, None]).mean())


def test_what_cannot_be_changed_is_refused(loaded: Loaded) -> None:
    engine = loaded.intervener.asker.engine
    scaled = replace(engine.sources[0], rebuild=lambda read, c: c @ torch.ones(48, WIDTH) * read)
    with pytest.raises(QuestionError, match="rescales each token"):
        load_writer(scaled, engine.model.device)
    with pytest.raises(QuestionError, match="has no decoder directions"):
        load_writer(replace(scaled, kind="weights"), engine.model.device)
    for at, said in (("sometimes", "is no place"), ("40", "is no token of a text of 3")):
        with pytest.raises(QuestionError, match=said):
            loaded.intervener.rows(["w1 w2"], at)
    with pytest.raises(QuestionError, match="more tokens than the context"):
        loaded.intervener.rows([" ".join(["w1"] * 20)])
    (row,) = loaded.intervener.rows(["w1 w2 w3"], "0,2-3")
    assert row.at.tolist() == [True, False, True, True]
    (row,) = loaded.intervener.rows(["w1 w2 w3"], "last")
    assert row.at.tolist() == [False, False, False, True]
