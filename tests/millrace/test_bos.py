"""Which token begins the rows: settings, then the corpus as it began, dictionaries, tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.catalog.corpora import get_corpus
from streams.snapshots.store import read_manifest
from streams.transport.connect import connect
from tests.millrace.conftest import Program
from tests.models_on_disk import WORDS, save_dictionary, save_model


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A model whose tokenizer adds no BOS, and dictionaries that say yes, no and nothing."""
    save_model(tmp_path / "m", "llama")
    for name, metadata in (("yes", True), ("no", False), ("silent", None)):
        said: dict[str, Any] = {} if metadata is None else {"prepend_bos": metadata}
        save_dictionary(tmp_path / name, "standard", metadata=said)
    (tmp_path / "t.txt").write_text("w1 w2 w3 w4 w5 w6 w7\n" * 4)
    return tmp_path


@pytest.mark.parametrize(
    ("dictionaries", "option", "bos", "warned"),
    [
        (["yes"], [], WORDS, False),
        (["yes", "silent"], [], WORDS, False),
        (["silent"], [], None, False),
        (["no"], [], None, False),
        (["yes", "no"], [], None, True),
        (["yes"], ["--no-bos"], None, True),
        (["no"], ["--bos"], WORDS, True),
    ],
)
def test_rows_begin_as_dictionaries_were_trained(
    dictionaries: list[str],
    option: list[str],
    bos: int | None,
    warned: bool,
    parts: Path,
    program: Program,
) -> None:
    broker = f"memory://bos-{'-'.join(dictionaries)}{''.join(option)}"
    given = [x for name in dictionaries for x in ("--dictionary", parts / name)]
    done = program(
        "run", parts / "t.txt", "--model", parts / "m", *given, "--store", parts / "o",
        "--broker", broker, "--device", "cpu", "--k", 2, *option,
    )  # fmt: skip
    assert done.status == 0, done.lines
    assert get_corpus(connect(broker), "corpus").bos_id == bos
    said = [line for line in done.lines if "BOS" in line]
    manifest = read_manifest(str(parts / "o/run/final/manifest.json"))
    assert bool(said) == bool(manifest.warnings) == warned
    assert json.loads((parts / "o/run/final/manifest.json").read_text())["warnings"] == list(
        manifest.warnings
    )


def test_a_corpus_that_was_begun_keeps_its_choice(parts: Path, program: Program) -> None:
    broker = "memory://begun"
    text = [parts / "t.txt", "--broker", broker]
    program("produce", *text, "--tokenizer", parts / "m", "--context", 16)
    done = program(
        "run", *text, "--model", parts / "m", "--dictionary", parts / "yes", "--store", parts / "o",
        "--device", "cpu", "--k", 2,
    )  # fmt: skip
    assert done.status == 0, done.lines
    assert get_corpus(connect(broker), "corpus").bos_id is None
    (said,) = [line for line in done.lines if "BOS" in line]
    assert "rows of corpus corpus have none: produce it with --bos" in said
