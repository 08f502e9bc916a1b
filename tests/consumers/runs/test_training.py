"""What dictionaries say about their training, and where a run does otherwise."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumers.runs.disagreements import disagreements
from consumers.runs.specs import DictionarySpec, NeuronsSpec, RunSpec
from consumers.runs.trainings import agreed_bos, agreed_context, trainings
from consumers.sources.training import Training, training_of
from streams.records.corpus import Choice, CorpusRecord
from streams.records.run_identity import run_id
from tests.consumers.conftest import with_source
from tests.consumers.created import create_run
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary, save_tokenizer


def test_metadata_is_read_and_nonsense_says_nothing() -> None:
    said = training_of(
        {
            "prepend_bos": True,
            "context_size": 128,
            "seqpos_slice": [5, None],
            "exclude_special_tokens": [3, 4],
            "model_name": "gpt2-small",
            "hook_name": "blocks.1.ln2.hook_normalized",
            "hook_name_out": "blocks.1.hook_mlp_out",
            "l0": 71.5,
        }
    )
    assert (said.prepend_bos, said.context, said.positions) == (True, 128, (5, None))
    assert (said.excluded, said.model, said.sparsity) == ((3, 4), "gpt2-small", 71.5)
    assert said.writes == "blocks.1.hook_mlp_out"
    nonsense = {"prepend_bos": "yes", "context_size": -1, "seqpos_slice": 7, "l0": "many"}
    assert training_of(nonsense) == training_of({"seqpos_slice": [None]}) == Training()


def test_folders_are_read_without_their_weights(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path / "s", "standard", metadata={"prepend_bos": False})
    (tmp_path / "s/sae_weights.safetensors").unlink()
    (tmp_path / "old").mkdir()
    old = {"hook_name": "blocks.1.hook_resid_post", "context_size": 64}
    (tmp_path / "old/cfg.json").write_text(json.dumps(old))
    sources: list[Any] = [
        DictionarySpec("new", path=str(folder)),
        DictionarySpec("old", path=str(tmp_path / "old")),
        DictionarySpec("missing", path=str(tmp_path / "missing")),
        DictionarySpec("hub", release="r", id="i"),
        NeuronsSpec("neurons", hook="blocks.0.hook_resid_post"),
    ]
    found = trainings(sources, lambda release, number: {"prepend_bos": release + number == "ri"})
    assert {name: one.prepend_bos for name, one in found.items()} == {
        "new": False,
        "old": True,  # SAELens before version 6 meant a BOS where nothing is said
        "missing": None,
        "hub": True,
    }
    assert (found["new"].context, found["old"].context) == (CONTEXT, 64)


def test_rows_are_as_long_as_any_dictionary_says_by_folder_or_release(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "standard")
    sources = [
        DictionarySpec("folder", path=str(folder)),
        DictionarySpec("release", release="r", id="i"),
    ]
    by_release: dict[str, Any] = {"context_size": 8}
    assert agreed_context(trainings(sources, lambda *_: by_release)) == 8
    assert agreed_context(trainings(sources, lambda *_: {})) == CONTEXT
    assert agreed_context(trainings(sources[1:], lambda *_: {})) is None


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, None),
        ({"sequence_separator_token": None}, "none"),
        ({"sequence_separator_token": "bos"}, "bos"),
        ({"sequence_separator_token": 7}, 7),
        ({"sequence_separator_token": True}, None),
        ({"sequence_separator_token": [1]}, None),
    ],
)
def test_what_stood_between_documents_is_read(metadata: dict[str, Any], said: Any) -> None:
    assert training_of(metadata).separator == said


@pytest.mark.parametrize(
    ("separator", "chosen", "expected"),
    [
        ("bos", None, None),  # the same token as the EOS
        (
            "bos",
            "w3",
            "has 'w3' there: produce it with corpus.separator = 'bos' under another name",
        ),
        ("none", None, "with 'none' between documents that share a row"),
        ("none", "none", None),
        ("sep", "none", None),  # the tokenizer has none
        (3, "w3", None),
        (4, "w3", "with id 4 between documents"),
        (None, "w3", None),
    ],
)
def test_separators_are_compared_by_their_token(
    separator: Any,
    chosen: str | None,
    expected: str | None,
    tmp_path: Path,
    spec: RunSpec,
    corpus: CorpusRecord,
) -> None:
    folder = save_dictionary(tmp_path, "standard")
    config = json.loads((folder / "cfg.json").read_text())
    notes = {"sequence_separator_token": None if separator == "none" else separator}
    config["metadata"] |= {} if separator is None else notes
    (folder / "cfg.json").write_text(json.dumps(config))
    choices = () if chosen is None else (Choice("separator", chosen),)
    save_tokenizer(tmp_path / "tokenizer")
    packed = replace(corpus, pack=True, choices=choices, tokenizer=str(tmp_path / "tokenizer"))
    found = create_run(with_source(spec, path=str(folder)), packed).warnings
    assert len(found) == (0 if expected is None else 1), found
    assert all(str(expected) in line for line in found)


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        ([], None),
        ([None], None),
        ([True, None], True),
        ([False, False], False),
        ([True, False], None),
    ],
)
def test_rows_begin_as_all_dictionaries_agree(said: list[bool | None], agreed: bool | None) -> None:
    found = {str(number): Training(prepend_bos=one) for number, one in enumerate(said)}
    assert agreed_bos(found) is agreed


@pytest.mark.parametrize(
    ("training", "corpus_changes", "expected"),
    [
        ({"prepend_bos": True}, {}, "begin with a BOS (prepend_bos), rows of corpus words have"),
        ({"prepend_bos": False}, {"bos_id": WORDS}, "without a BOS (prepend_bos), rows of corpus"),
        ({"context": 8}, {}, "at 8 tokens of context, corpus words has rows of 16"),
        ({"separate": True}, {"pack": True}, "one document each (disable_concat_sequences)"),
        ({"excluded": True}, {}, "that the run counts, ids 60, 61: set run.mask_special = true"),
        ({"excluded": (5, 6)}, {}, "that the run counts, ids 5, 6: set run.mask_ids = [5, 6]"),
        (
            {"positions": (2, None)},
            {},
            "(seqpos_slice 2, None), and the run counts others, 0, 1: set run.mask_positions = [0,",
        ),
        (
            {"positions": (None, 12)},
            {},
            "others, 12, 13, 14, 15: set run.mask_positions = [12, 13, 14, 15]",
        ),
        ({"positions": (0, -4), "context": 20}, {}, None),  # of rows of 20, all 16 are seen
        ({"model": "gpt2"}, {}, "on model gpt2, the run reads pythia-70m"),
        ({"model": "EleutherAI/pythia-70m"}, {}, None),
        ({"prepend_bos": True, "context": 16}, {"bos_id": WORDS}, None),
        ({}, {}, None),
    ],
)
def test_what_a_run_does_otherwise_is_one_line(
    training: dict[str, Any],
    corpus_changes: dict[str, Any],
    expected: str | None,
    corpus: CorpusRecord,
) -> None:
    trained = {"sae": Training(**training)}
    other = replace(corpus, **corpus_changes)
    found = disagreements(trained, other, "pythia-70m", (), ())
    assert len(found) == (0 if expected is None else 1), found
    assert all(line.startswith("dictionary 'sae' was trained ") for line in found)
    assert all(str(expected) in line for line in found)


def test_what_is_masked_is_no_disagreement(corpus: CorpusRecord) -> None:
    trained = {"sae": Training(excluded=True, positions=(2, None), model="gpt2")}
    assert disagreements(trained, corpus, "/models/any", corpus.special_ids, (0, 1)) == ()


def test_the_advice_is_what_has_to_be_set(corpus: CorpusRecord) -> None:
    trained = {"sae": Training(excluded=(5, WORDS), positions=(0, 64))}
    wide = replace(corpus, context=128)
    ids, positions = disagreements(trained, wide, "/m", (7,), (100,))
    assert ids.endswith(f"ids 5, {WORDS}: set run.mask_special = true and add [5] to run.mask_ids")
    assert positions.endswith(": add the numbers 64 to 99, 101 to 127 to run.mask_positions")


def test_dictionaries_that_disagree_about_the_bos_are_one_line(corpus: CorpusRecord) -> None:
    trained = {"a": Training(prepend_bos=True), "b": Training(prepend_bos=False)}
    first, *others = disagreements(trained, corpus, "/m", (), ())
    assert first.startswith("dictionary 'a' was trained on rows that begin with a BOS, 'b' on rows")
    assert len(others) == 1


def test_the_record_keeps_what_was_said_and_its_id_does_not_follow(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_dictionary(tmp_path, "standard", metadata={"prepend_bos": True})
    run = create_run(with_source(spec, path=str(folder)), corpus)
    (line,) = run.warnings
    assert "begin with a BOS" in line
    assert caplog.text.count("begin with a BOS") == 1
    assert run_id(run) == run_id(replace(run, warnings=()))
    assert create_run(spec, corpus).warnings == ()


def test_a_transcoder_reads_the_hook_that_it_names(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    hook, out = "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out"
    folder = save_dictionary(tmp_path, "transcoder", hook=hook, metadata={"hook_name_out": out})
    run = create_run(with_source(spec, path=str(folder)), corpus)
    assert run.sources[0].hook == hook
