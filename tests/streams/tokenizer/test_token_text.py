"""What a row shows is the tokenizer's own decoding of it, on every kind of tokenizer."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models

from streams.records.corpus import Vocabulary
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.token_text import TokenTexts
from streams.tokenizer.tokenizer import Tokenizer, make_tokenizer
from streams.wire import codec
from tests.streams.tokenizer.zoo import FAST, LETTERS, PYTHON, TEXTS

text = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.sampled_from([*LETTERS, " ", " ", "\n"]), max_size=40),
    st.lists(st.sampled_from(["the", "cat", "cats", "sat", "  ", "\n\n", "<b>"])).map(" ".join),
)


@cache
def fast(kind: str) -> Tokenizer:
    return make_tokenizer(kind, FAST[kind](), {})


def shown(texts: TokenTexts, ids: Sequence[int]) -> str:
    return b"".join(texts.shown(ids)).decode(errors="replace")


@pytest.mark.parametrize("kind", FAST)
@given(text)
def test_a_text_shows_as_the_tokenizer_decodes_it(kind, text):
    tokenizer = fast(kind)
    ids = tokenizer.encode([text])[0].tolist()
    assert shown(tokenizer.texts, ids) == tokenizer.encoder.decode([ids])[0]


@pytest.mark.parametrize("kind", FAST)
@given(st.data())
def test_any_row_shows_as_the_tokenizer_decodes_it(kind, data):
    tokenizer = fast(kind)
    ids = data.draw(st.lists(st.integers(0, tokenizer.size - 1), min_size=1, max_size=8))
    decoded = tokenizer.encoder.decode([ids])[0]
    # Bytes that are no text alone are shown as bytes; decoders differ in what they put for them.
    assume("\ufffd" not in decoded)
    # What a decoder takes off the beginning it takes off the second token if the first is empty.
    assume(all(tokenizer.texts.shown(ids)))
    assert shown(tokenizer.texts, ids) == decoded


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("python")


@pytest.mark.parametrize("kind", PYTHON)
def test_tokenizers_written_in_python_show_what_they_decode(kind, folders):
    from transformers import AutoTokenizer

    folder = folders / kind
    folder.mkdir()
    PYTHON[kind](folder)
    tokenizer = load_tokenizer(str(folder))
    own = AutoTokenizer.from_pretrained(folder)
    for text in ("the cat sat", "LAGV", "é", *TEXTS):
        ids = tokenizer.encode([text])[0].tolist()
        assert ids == own(text, add_special_tokens=False)["input_ids"]
        decoded = own.decode(ids, clean_up_tokenization_spaces=False)
        assert shown(tokenizer.texts, ids) == decoded
    assert tokenizer.id == load_tokenizer(str(folder)).id


def test_added_tokens_of_spaces_show_spaces():
    tokenizer = fast("SentencePiece BPE with added spaces")
    text = "def f(x):\n    return x\n\n  y"
    ids = tokenizer.encode([text])[0].tolist()
    assert b"".join(tokenizer.tokens[number] for number in ids).decode() == text


def test_a_byte_of_a_character_is_a_byte():
    for kind in ("byte-level BPE", "SentencePiece BPE"):
        tokenizer = fast(kind)
        ids = tokenizer.encode(["🜚"])[0].tolist()
        assert b"".join(tokenizer.texts.shown(ids)).decode().strip() == "🜚"
        assert len(ids) > 1


def test_an_id_without_a_piece_shows_nothing():
    made = Backend(models.WordLevel({"a": 0, "c": 2}, unk_token="a"))
    made.decoder = decoders.Fuse()
    assert make_tokenizer("t", made, {}).tokens == (b"a", b"", b"c")


def test_the_record_of_a_vocabulary_says_what_shows_elsewhere():
    tokenizer = fast("SentencePiece BPE")
    record = codec.decode(Vocabulary, codec.encode(tokenizer.vocabulary("text")))
    number = tokenizer.id_of("▁th")
    assert number is not None
    assert [form.over(record.tokens)[number] for form in record.forms] == [b"th", b" th", b"th"]
    assert record.tokens[number] == b" th"
