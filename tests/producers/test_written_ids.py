"""What the producer writes around the texts is checked before it writes anything."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from millrace.cli import run_program
from producers.rows import Cut
from producers.written_ids import check_written_ids
from streams.errors import SettingsError
from streams.transport.connect import connect
from streams.transport.memory.broker import forget

CUT = Cut(context=8, pad=0, bos=1, pack=True, separator=2)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    forget("written-ids")


@pytest.mark.parametrize("changes", [{}, {"bos": None}, {"separator": None}, {"pad": 9, "bos": 9}])
def test_ids_of_the_tokenizer_pass(changes: dict[str, Any]):
    check_written_ids(replace(CUT, **changes), 10, "t")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"bos": 10}, r"bos: token id 10 is put before every row; set bos = false"),
        ({"separator": 99}, r"pack: token id 99 is put between documents"),
        ({"pad": 10}, r"tokenizer: token id 10 fills rows.*: tokenizer t has 10 ids only"),
        ({"pad": -1}, r"tokenizer: token id -1"),
    ],
)
def test_any_other_is_named_with_what_it_is_for(changes: dict[str, Any], line: str):
    with pytest.raises(SettingsError, match=line):
        check_written_ids(replace(CUT, **changes), 10, "t")


def test_a_tokenizer_that_opens_texts_with_an_id_it_does_not_have_writes_no_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Each batch of it would become a dead letter."""
    made = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<s>": 2, "?": 3}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 2)]
    )
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="?").save_pretrained(tmp_path / "t")
    file = tmp_path / "t" / "tokenizer.json"
    described = json.loads(file.read_text())
    described["post_processor"]["special_tokens"]["<s>"]["ids"] = [70]
    file.write_text(json.dumps(described))
    (tmp_path / "text.txt").write_text("a b a")
    text, folder = str(tmp_path / "text.txt"), str(tmp_path / "t")
    broker = "memory://written-ids"
    assert run_program(["produce", text, "--tokenizer", folder, "--broker", broker]) == 2
    assert "bos: token id 70 is put before every row" in capsys.readouterr().err
    assert not [name for name in connect(broker).topics() if name.startswith("tokens.")]
