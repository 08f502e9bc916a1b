import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from streams.transport.client import Client
from streams.transport.connect import connect

END = "<|endoftext|>"
PROSE = [
    "the cat sat on the mat and the dog sat on the log",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich",
    "def add(a, b):\n    return a + b\n",
]
_clients = iter(range(10**9))


def byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(PROSE, trainer)
    return made


def sentence_piece() -> Tokenizer:
    """Return a Unigram tokenizer with byte fallback that puts <s> before a text."""
    from tokenizers.processors import TemplateProcessing

    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁the", "▁cat", "a", "c", "t", "s", "<", ">", "/"]
    scores = [(piece, 0.0 if n < 3 else -float(n)) for n, piece in enumerate(pieces)]
    made = Tokenizer(models.Unigram(scores, 0, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    made.add_special_tokens([AddedToken(piece, special=True) for piece in pieces[:3]])
    made.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


def word_piece() -> Tokenizer:
    pieces = ["[UNK]", "[CLS]", "the", "cat", "##s", "sat"]
    made = Tokenizer(models.WordPiece({p: n for n, p in enumerate(pieces)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(["[UNK]", "[CLS]"])
    return made


def save_plainly(tokenizer: Tokenizer, folder: Path, **named: Any) -> str:
    """Write a folder as ``PreTrainedTokenizerFast.save_pretrained`` does, without importing it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 16, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a byte-level tokenizer whose BOS, EOS and padding are one token, as GPT-2's."""
    path = tmp_path_factory.mktemp("tokenizer")
    return save_plainly(byte_level(), path, bos_token=END, eos_token=END, pad_token=END)


@pytest.fixture
def client() -> Iterator[Client]:
    made = new_client()
    yield made
    made.close()


def new_client() -> Client:
    return connect(f"memory://producers-{next(_clients)}")
