"""Models and dictionaries on disk, made once for all tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from streams.records.corpus import CorpusRecord
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary, save_model


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model ``gpt2`` and the dictionary ``standard`` of its second layer."""
    folder = tmp_path_factory.mktemp("disk")
    save_model(folder / "gpt2", "gpt2")
    save_dictionary(folder / "standard", "standard")
    return folder


@pytest.fixture
def corpus() -> CorpusRecord:
    """What the producers say of a corpus read with the tiny tokenizer."""
    return CorpusRecord(
        name="words",
        partitions=2,
        tokenizer="tiny",
        tokenizer_id="tiny",
        vocabulary=WORDS + 2,
        context=CONTEXT,
        batch_rows=8,
        pack=False,
        bos_id=None,
        pad_id=WORDS,
        special_ids=(WORDS, WORDS + 1),
    )


@pytest.fixture
def spec(disk: Path) -> RunSpec:
    """A run of the dictionary over the model on the CPU, four rows at a time."""
    return RunSpec(
        name="run",
        store="store",
        model=ModelSpec(str(disk / "gpt2"), device="cpu", micro_batch=4, threads=1),
        sources=(DictionarySpec("sae", path=str(disk / "standard")),),
        k=5,
    )


def with_source(spec: RunSpec, **changes: Any) -> RunSpec:
    """Return the run with its dictionary changed."""
    source: Any = spec.sources[0]
    return replace(spec, sources=(replace(source, **changes),))
