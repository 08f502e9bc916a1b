"""Features of a concept: each text as if asked alone; chosen on some texts, checked on others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from consumers.asking.asker import Asker
from consumers.asking.concept import find_features, held_back
from consumers.asking.concept_record import concept_record, read_record, to_plain
from consumers.asking.rows import rows_of
from consumers.asking.setup import setup_of
from consumers.asking.text_scores import portions, text_scores
from consumers.runs.creation import prepare_run
from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from producers.settings import CorpusSettings
from streams.asking.concept import TEXT_SCORES, ConceptQuestion, TextScore
from streams.asking.question import Question
from streams.errors import QuestionError
from streams.tokenizer.loading import load_tokenizer
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary, save_model

SOURCES = {"one": "standard", "two": "topk"}


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Asker:
    folder: Path = tmp_path_factory.mktemp("concept")
    save_model(folder / "model", "gpt2")
    for name, architecture in SOURCES.items():
        save_dictionary(folder / name, architecture, hook="blocks.1.hook_resid_post")
    tokenizer = load_tokenizer(str(folder / "model"))
    how = CorpusSettings("texts", str(folder / "model"), context=CONTEXT, bos="always")
    corpus = how.record(tokenizer)
    spec = RunSpec(
        name="run",
        store="store",
        model=ModelSpec(str(folder / "model"), device="cpu", micro_batch=3, threads=1),
        sources=tuple(DictionarySpec(name, path=str(folder / name)) for name in SOURCES),
        k=1,
    )
    engine = prepare_run(spec, corpus)
    return Asker(setup_of(engine.plan.run, corpus), engine, tokenizer)


def texts(seed: int, words: range, count: int = 12) -> tuple[str, ...]:
    chance = np.random.default_rng(seed)
    sizes = chance.integers(3, 2 * CONTEXT, count)  # some are longer than a row
    return tuple(" ".join(f"w{n}" for n in chance.choice(words, size)) for size in sizes)


WITH, WITHOUT = texts(1, range(0, 12)), texts(2, range(30, WORDS))


def dense(asker: Asker, by: TextScore) -> np.ndarray:
    """Return [text, component], each text asked alone."""
    found = np.zeros((len(WITH) + len(WITHOUT), asker.engine.plan.components))
    firsts = dict(zip(SOURCES, asker.engine.plan.component_first.tolist(), strict=False))
    for number, text in enumerate((*WITH, *WITHOUT)):
        (answer,) = asker.ask(Question((text,), top=10_000)).texts
        for one in answer.features:
            value = {"maximum": one.maximum, "last": one.last,
                     "mean": one.total / sum(answer.counted)}[by]  # fmt: skip
            found[number, firsts[one.source] + one.index] = value
    return found


@pytest.mark.parametrize("by", TEXT_SCORES)
def test_features_are_those_of_texts_asked_alone(asker: Asker, by: TextScore) -> None:
    question = ConceptQuestion(WITH, WITHOUT, by, held_back=0.4, top=10_000, seed=5)
    answer = find_features(asker, question)
    numbers, held = dense(asker, by), held_back(question)
    present = np.arange(len(held)) < len(WITH)
    assert (answer.texts_with, answer.texts_without) == ((8, 4), (8, 4))
    components = asker.engine.plan.components
    assert answer.tried == components == len(answer.features)
    firsts = dict(zip(SOURCES, asker.engine.plan.component_first.tolist(), strict=False))
    at = np.array([firsts[one.source] + one.index for one in answer.features])
    assert sorted(at.tolist()) == list(range(components))
    chosen = np.array([one.chosen.p for one in answer.features])
    corrected = [one.chosen.corrected for one in answer.features]
    assert corrected == pytest.approx(stats.false_discovery_control(chosen))
    for one, column in zip(answer.features, at.tolist(), strict=True):
        for part, found in ((~held, one.chosen), (held, one.held_back)):
            a, b = numbers[present & part, column], numbers[~present & part, column]
            ahead = a[:, None] - b
            some = (a[:, None] > 0) | (b > 0)
            near = 1e-5 * some  # what else is in a batch moves the last bits
            ends = [np.mean((ahead > e) + 0.5 * (ahead == e)) for e in (near, -near)]
            assert ends[0] - 1e-9 <= found.auroc <= ends[1] + 1e-9
            assert found.difference == pytest.approx(a.mean() - b.mean(), abs=1e-5)
        assert one.held_back.corrected == min(1.0, one.held_back.p * components)
        sure = one.held_back.auroc > 0.5 and one.held_back.corrected <= 0.05
        assert one.confirmed == sure
    for source in SOURCES:
        ranks = [(-f.chosen.auroc, -f.chosen.difference) for f in answer.features
                 if f.source == source]  # fmt: skip
        assert ranks == sorted(ranks)
    if by == "maximum":  # the two sides share no word
        assert answer.features[0].chosen.auroc > 0.9


def test_the_same_question_has_the_same_answer_also_from_its_record(asker: Asker) -> None:
    question = ConceptQuestion(WITH, WITHOUT, top=3, seed=8)
    first = find_features(asker, question)
    record = concept_record(question, asker.setup, "2031-01-02T03:04:05+00:00")
    from pydantic_core import to_json

    read = read_record(to_json(to_plain(record)), "here")
    assert read == record
    assert find_features(asker, read.question) == first
    other = replace(question, seed=9)
    assert not np.array_equal(held_back(question), held_back(other))
    assert [len(f) for f in (first.features,)] == [3 * len(SOURCES)]


def test_none_held_back_confirms_nothing(asker: Asker) -> None:
    answer = find_features(asker, ConceptQuestion(WITH, WITHOUT, held_back=0.0, top=2))
    assert (answer.texts_with, answer.texts_without) == ((12, 0), (12, 0))
    assert all(one.held_back is None and not one.confirmed for one in answer.features)


def test_portions_of_the_texts_have_the_same_numbers(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of((*WITH, *WITHOUT), asker.tokenizer, asker.setup)
    whole = text_scores(asker, rows, "mean")
    parts = list(portions(rows, 40))
    assert len(parts) > 3
    assert sum(len(part.ids) for _, part in parts) == len(rows.ids)
    assert [first for first, _ in parts] == np.cumsum(
        [0, *(len(part.size) for _, part in parts)]
    ).tolist()[:-1]
    monkeypatch.setattr("consumers.asking.text_scores.MAX_TOKENS", 40)
    again = text_scores(asker, rows, "mean")
    assert np.array_equal(whole.text, again.text)
    assert np.array_equal(whole.component, again.component)
    np.testing.assert_allclose(whole.score, again.score, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"present": ("a",)}, "1 texts with the concept, 0 of them held back"),
        ({"absent": ("a", "b", "")}, "text 3 without the concept is empty"),
        ({"absent": ("a", "b", "c")}, "3 texts without the concept, 1 of them held back"),
        ({"by": "fame"}, "is none of maximum, mean, last"),
        ({"level": 0.7}, "level"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, said: str) -> None:
    with pytest.raises(QuestionError, match=said):
        ConceptQuestion(**{"present": WITH, "absent": WITHOUT, **changes})


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(QuestionError, match="millrace-concept"):
        read_record(b'{"format": "millrace-question", "version": 1}', "here")
