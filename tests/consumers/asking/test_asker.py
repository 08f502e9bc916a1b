"""Asking about texts in batches gives what the libraries give for each text alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.asking.asker import Asker, load_asker
from consumers.asking.record import ask_record, read_record, record_json
from consumers.asking.rows import rows_of
from consumers.asking.setup import setup_of
from consumers.runs.creation import prepare_run
from consumers.runs.specs import DictionarySpec, ModelSpec, NeuronsSpec, RunSpec
from consumers.selection.selection import valid_tokens
from producers.documents import Document
from producers.settings import CorpusSettings
from producers.tally import CorpusTally
from streams.asking.answer import Answer, TextAnswer
from streams.asking.question import ORDERS, Question
from streams.errors import QuestionError, RunError
from streams.tokenizer.loading import load_tokenizer
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary, save_model

HOOKS = {"standard": 1, "topk": 0, "jumprelu": 1}  # the block after which each reads
words = st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=CONTEXT - 1)
SHAPES = ["gpt2", "llama", "neox"]
ALL = 100


class Loaded:
    """An asker of a model on disk, and the libraries' own objects for the same folders."""

    def __init__(self, folder: Path, shape: str) -> None:
        self.shape = shape
        save_model(folder / shape, shape)
        if shape == "llama":  # as tokenizers of chat models often do; it must not matter
            config = folder / shape / "tokenizer_config.json"
            config.write_text(config.read_text().replace("{", '{"padding_side": "left",', 1))
        for name, block in HOOKS.items():
            save_dictionary(folder / name, name, hook=f"blocks.{block}.hook_resid_post")
        self.how = CorpusSettings(
            "texts",
            str(folder / shape),
            context=CONTEXT,
            bos="never" if shape == "neox" else "always",
        )
        self.tokenizer = load_tokenizer(str(folder / shape))
        corpus = self.how.record(self.tokenizer)
        sources = tuple(DictionarySpec(name, path=str(folder / name)) for name in HOOKS)
        spec = RunSpec(
            name="run",
            store="store",
            model=ModelSpec(str(folder / shape), device="cpu", micro_batch=3, threads=1),
            sources=(*sources, NeuronsSpec("neurons", "blocks.1.hook_resid_post")),
            k=1,
        )
        engine = prepare_run(spec, corpus)
        self.asker = Asker(setup_of(engine.plan.run, corpus), engine, self.tokenizer)
        from sae_lens import SAE
        from transformers import AutoModelForCausalLM

        self.net: Any = AutoModelForCausalLM.from_pretrained(folder / shape).eval()
        self.saes = {name: SAE.load_from_disk(folder / name).eval() for name in HOOKS}

    def alone(self, ids: Sequence[int]) -> dict[str, np.ndarray]:
        """Return each source's [token, component] of one row, by transformers and SAELens."""
        with torch.inference_mode():
            states = self.net(torch.tensor([ids]), output_hidden_states=True).hidden_states
            found = {
                name: self.saes[name].encode(states[block + 1][0]) for name, block in HOOKS.items()
            }
        return {name: one.numpy() for name, one in (found | {"neurons": states[2][0]}).items()}


@pytest.fixture(scope="module", params=SHAPES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return Loaded(tmp_path_factory.mktemp("asked"), request.param)


def text_of(numbers: Sequence[int]) -> str:
    return " ".join(f"w{number}" for number in numbers)


def dense(text: TextAnswer, source: str, features: int) -> np.ndarray:
    """Return what an answer lists at each token as [token, feature]."""
    found = np.zeros((len(text.ids), features), np.float32)
    for at, listed in enumerate(text.at_tokens):
        for one in listed:
            if one.source == source:
                found[at, one.index] = one.activation
    return found


@settings(max_examples=12)
@given(texts=st.lists(words, min_size=1, max_size=7))
def test_each_text_has_what_the_libraries_give_for_it_alone(
    loaded: Loaded, texts: list[list[int]]
) -> None:
    wanted = ("standard:7", "neurons:3")
    question = Question(tuple(map(text_of, texts)), ALL, ALL, "last", wanted)
    answer = loaded.asker.ask(question)
    bos = [] if loaded.shape == "neox" else [WORDS]
    for number, (text, numbers) in enumerate(zip(answer.texts, texts, strict=True)):
        assert list(text.ids) == [*bos, *numbers]
        counted = np.arange(len(text.ids)) >= len(bos)  # the BOS is special, so it is masked
        assert list(text.counted) == counted.tolist()
        assert text.last == len(text.ids) - 1
        expected = loaded.alone(text.ids)
        for source, values in expected.items():
            activation = np.abs(values) if source == "neurons" else values
            activation = np.where(counted[:, None] & (activation > 0), activation, 0)
            found = dense(text, source, values.shape[1])
            np.testing.assert_allclose(found, activation, atol=2e-5)
            expect_totals(text, number, source, found)
        for one in text.values:
            signed = [v for v, c in zip(one.values, counted, strict=True) if c]
            own = expected[one.source][counted, one.index]
            np.testing.assert_allclose(np.array(signed, np.float64), own, atol=2e-5)
            assert [v is None for v in one.values] == (~counted).tolist()
    expect_sums(answer)


def expect_totals(text: TextAnswer, number: int, source: str, found: np.ndarray) -> None:
    """Expect the totals of a text to be those of what it lists at its tokens."""
    totals = [one for one in text.features if one.source == source]
    assert {one.index for one in totals} == set(np.flatnonzero(found.any(axis=0)).tolist())
    for one in totals:
        column = found[:, one.index]
        assert one.total == pytest.approx(column.astype(np.float64).sum(), rel=1e-12)
        assert (one.maximum, one.last) == (float(column.max()), float(column[text.last]))
        assert (one.peak, one.tokens) == (int(column.argmax()), int(np.count_nonzero(column)))
        assert one.text == number
    order = [(-one.last, one.index) for one in totals]
    assert order == sorted(order)


def expect_sums(answer: Answer) -> None:
    """Expect the totals over all texts to be those of the texts together."""
    for one in answer.totals:
        own = [f for t in answer.texts for f in t.features if f.label == one.label]
        assert one.total == pytest.approx(sum(f.total for f in own), rel=1e-12)
        assert one.tokens == sum(f.tokens for f in own)
        assert one.last == pytest.approx(sum(f.last for f in own))
        best = max(own, key=lambda f: f.maximum)
        assert (one.maximum, one.text, one.peak) == (best.maximum, best.text, best.peak)


@pytest.mark.parametrize("by", ORDERS)
def test_the_best_are_the_first_of_all(loaded: Loaded, by: Any) -> None:
    texts = tuple(text_of(range(n, 2 * n)) for n in (1, 4, 11))
    every, best = (loaded.asker.ask(Question(texts, top, top, by)) for top in (ALL, 3))
    for whole, some in (
        (every.totals, best.totals),
        (every.texts[2].features, best.texts[2].features),
    ):
        for source in (*HOOKS, "neurons"):
            own = [one for one in whole if one.source == source]
            scores = [getattr(one, by) for one in own]
            assert scores == sorted(scores, reverse=True)
            assert [one.index for one in own[:3]] == [f.index for f in some if f.source == source]
    listed = [[f for f in at if f.source == "standard"] for at in every.texts[1].at_tokens]
    assert [at[:3] for at in listed] == [
        [f for f in at if f.source == "standard"] for at in best.texts[1].at_tokens
    ]


def test_questions_that_are_asked_together_have_their_own_answers(loaded: Loaded) -> None:
    questions = [
        Question((text_of([1, 2, 3]), text_of(range(40))), 3, features=("topk:1",)),
        Question(("w1",), features=("nobody:1",)),
        Question((text_of([7]),), by="maximum"),
        Question((" ",)),
    ]
    first, refused, second, empty = loaded.asker.ask_all(questions)
    assert (type(refused), type(empty)) == (QuestionError, QuestionError)
    for found, question in ((first, questions[0]), (second, questions[2])):
        assert isinstance(found, Answer)
        alone = loaded.asker.ask(question)
        for one, other in zip(found.texts, alone.texts, strict=True):
            assert (one.ids, one.tokens, one.rows) == (other.ids, other.tokens, other.rows)
            assert [f.label for f in one.features] == [f.label for f in other.features]
            totals = [f.total for f in other.features]
            assert [f.total for f in one.features] == pytest.approx(totals, abs=1e-4)
        assert [f.text for f in found.totals] == [f.text for f in alone.totals]


def test_long_texts_are_cut_into_the_rows_of_a_corpus(loaded: Loaded) -> None:
    texts = [text_of([n % WORDS for n in range(size)]) for size in (40, 3)]
    rows = rows_of(texts, loaded.tokenizer, loaded.asker.setup)
    corpus = list(loaded.how.batches(loaded.tokenizer, documents(texts), CorpusTally()))
    produced = [(batch, row) for batch in corpus for row in range(len(batch.ids))]
    valid = {id(batch): valid_tokens(loaded.asker.engine.plan, batch) for batch in corpus}
    assert len(produced) == len(rows.ids) == 4
    for (batch, row), ids, counts in zip(
        sorted(produced, key=lambda each: (each[0].documents[each[1]], each[0].partition)),
        rows.ids,
        rows.counts,
        strict=True,
    ):
        length = int(batch.row_lengths()[row])
        assert ids.tolist() == batch.ids[row, :length].tolist()
        assert counts.tolist() == valid[id(batch)][row, :length].tolist()
    long = loaded.asker.ask(Question(tuple(texts))).texts[0]
    assert long.rows == tuple(range(0, len(long.ids), CONTEXT))


def documents(texts: Sequence[str]) -> Any:
    class Given(list[Document]):
        refusals = None

    return Given(Document(str(n), "", text) for n, text in enumerate(texts))


def test_a_record_is_asked_again_of_the_same_weights_only(loaded: Loaded, tmp_path: Path) -> None:
    question = Question(("w1 w2 w3", "w9"), features=("topk:5",))
    record = ask_record(question, loaded.asker.setup, "2030-01-01T00:00:00+00:00")
    again = read_record(record_json(record), "file")
    assert again == record
    assert again.versions["torch"] == torch.__version__.split("+")[0]
    answer = load_asker(again.setup, "cpu").ask(again.question)
    assert answer == loaded.asker.ask(question)
    model = replace(again.setup.model, content="0" * 32)
    with pytest.raises(RunError, match="is not the one"):
        load_asker(replace(again.setup, model=model), "cpu")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[]", "is no record of this kind"),
        (b"{", "is not JSON"),
        (b'{"format": "millrace-question", "version": 9}', "has version 9"),
        (b'{"format": "millrace-question", "version": 1}', "cannot be asked again: asked"),
    ],
)
def test_what_is_no_record_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(QuestionError, match=said):
        read_record(data, "file")


def test_what_cannot_be_asked_is_refused(loaded: Loaded) -> None:
    for label, said in (
        ("standard:48", "it|has 48"),
        ("nobody:1", "the sources are standard, topk, jumprelu, neurons"),
        ("standard", "write SOURCE:INDEX"),
    ):
        with pytest.raises(QuestionError, match=said):
            loaded.asker.ask(Question(("w1",), features=(label,)))
    with pytest.raises(QuestionError, match="text 2 has no token"):
        loaded.asker.ask(Question(("w1", " ")))
    with pytest.raises(QuestionError, match="give a text"):
        Question(())
    with pytest.raises(QuestionError, match="text 1 is empty"):
        Question(("",))
    with pytest.raises(QuestionError, match="top is -1"):
        Question(("w1",), top=-1)
