"""Small tokenizers of every kind that transformers has, built here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

TEXTS = [
    "the cat sat on the mat, and the dog sat on the log.",
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich",
    "def add(a, b):\n    return a + b\n",
    "naïve café 東京タワー 한국어 👩‍👩‍👧",
]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = sorted(set("".join(TEXTS)) - {" "})


def byte_level(**changes: Any) -> Tokenizer:
    made = Tokenizer(models.BPE(**changes))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    _train(made, trainers.BpeTrainer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.add_special_tokens(["<|endoftext|>"])
    made.add_tokens(["    ", "é", "two words"])
    return made


def tiktoken_like() -> Tokenizer:
    made = byte_level(ignore_merges=True)
    pattern = Regex(r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


def llama() -> Tokenizer:
    """BPE over sentence pieces, with byte fallback; a space is put before a text."""
    made = _pieces(models.BPE(*_bpe(), unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return made


def gemma() -> Tokenizer:
    """The same without a space before, and with added tokens of spaces."""
    made = _pieces(models.BPE(*_bpe(), unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made.add_tokens([AddedToken(s, normalized=False) for s in ("▁▁", "▁▁▁▁", "\n\n", "<b>")])
    return made


def without_byte_fallback() -> Tokenizer:
    made = _pieces(models.BPE(*_bpe(), unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return made


def unigram(scheme: str = "always") -> Tokenizer:
    pieces = ["<unk>", "<s>", "</s>", "▁", "▁the", "▁c", "at", "sat", *LETTERS]
    made = Tokenizer(models.Unigram([(p, -float(n)) for n, p in enumerate(pieces)], 0, False))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def word_piece(cleanup: bool = False) -> Tokenizer:
    pieces = ["[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s", "sat", ",", ".", "'", *LETTERS]
    pieces += [f"##{letter}" for letter in LETTERS]
    vocabulary = {p: n for n, p in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(cleanup=cleanup)
    made.add_special_tokens(["[UNK]", "[CLS]", "[SEP]"])
    return made


def words() -> Tokenizer:
    vocabulary = {w: n for n, w in enumerate(["<unk>", "the", "cat", "sat", "on", "mat,", "a"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<unk>"])
    return made


def words_that_are_fused() -> Tokenizer:
    made = words()
    made.decoder = decoders.Fuse()
    return made


def words_that_end_in_a_mark() -> Tokenizer:
    vocabulary = {p: n for n, p in enumerate(["<unk>", *LETTERS, *(f"{c}</w>" for c in LETTERS)])}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.BPEDecoder()
    return made


def replaced_and_stripped() -> Tokenizer:
    vocabulary = {p: n for n, p in enumerate(["<unk>", "_the", "_cat", "s", "~", "at"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.decoder = decoders.Sequence(
        [decoders.Replace("_", " "), decoders.Fuse(), decoders.Strip("~", 1, 0)]
    )
    return made


FAST: dict[str, Callable[[], Tokenizer]] = {
    "byte-level BPE": byte_level,
    "like tiktoken": tiktoken_like,
    "SentencePiece BPE": llama,
    "SentencePiece BPE with added spaces": gemma,
    "BPE without byte fallback": without_byte_fallback,
    "Unigram": unigram,
    "Unigram, space before the first word": lambda: unigram("first"),
    "Unigram, no space before": lambda: unigram("never"),
    "WordPiece": word_piece,
    "WordPiece, cleaned up": lambda: word_piece(cleanup=True),
    "WordLevel": words,
    "WordLevel, fused": words_that_are_fused,
    "BPE with ends of words": words_that_end_in_a_mark,
    "Replace, Fuse and Strip": replaced_and_stripped,
}


def byt5(folder: Path) -> None:
    from transformers import ByT5Tokenizer

    ByT5Tokenizer(extra_ids=3).save_pretrained(folder)


def ctrl(folder: Path) -> None:
    from transformers import CTRLTokenizer

    pieces = ["<unk>", "th", "the@@", "the</w>", "c@@", "at", "at</w>", "t@@", "h@@", "e", "a@@"]
    pieces += [p for letter in "thecast" for p in (letter, f"{letter}@@", f"{letter}</w>")]
    vocabulary = {p: n for n, p in enumerate(dict.fromkeys(pieces))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e</w>\na t</w>\n")
    made = CTRLTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    made.save_pretrained(folder)


def esm(folder: Path) -> None:
    from transformers import EsmTokenizer

    (folder / "vocab.txt").write_text("\n".join(["<cls>", "<pad>", "<eos>", "<unk>", *"LAGV"]))
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


PYTHON: dict[str, Callable[[Path], None]] = {"ByT5": byt5, "CTRL": ctrl, "ESM": esm}


def _train(made: Tokenizer, trainer: Any, **options: Any) -> None:
    made.train_from_iterator(TEXTS, trainer(vocab_size=330, show_progress=False, **options))


def _bpe() -> tuple[dict[str, int], list[tuple[str, str]]]:
    pieces = ["<unk>", "<s>", "</s>", *BYTES, "▁", "▁▁", "▁▁▁▁", "▁t", "th", "▁th", "\n\n"]
    vocabulary = {p: n for n, p in enumerate(dict.fromkeys([*pieces, *LETTERS]))}
    return vocabulary, [("▁", "▁"), ("▁▁", "▁▁"), ("▁", "t"), ("▁t", "h")]


def _pieces(model: Any) -> Tokenizer:
    made = Tokenizer(model)
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made
