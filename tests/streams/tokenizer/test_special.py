import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.special import is_word
from streams.tokenizer.tokenizer import make_tokenizer
from tests.producers.conftest import byte_level, save_plainly, sentence_piece


def words(*special: str) -> Tokenizer:
    vocabulary = {word: n for n, word in enumerate(["w0", "w1", "w2", "<end>", "<unknown>"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken(token, special=True) for token in special])
    return made


@pytest.mark.parametrize("name", ["pad", "unk", "eos", "bos"])
def test_an_ordinary_word_that_is_named_as_a_special_token_stays_text(tmp_path, name):
    named = {"eos_token": "<end>", f"{name}_token": "w0"}
    folder = save_plainly(words("<end>"), tmp_path, **named)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.encode(["w0 w1 w0"])[0].tolist() == [0, 1, 0]
    assert tokenizer.special == (3,)
    assert tokenizer.names[name] == 0


def test_what_unknown_text_becomes_is_text():
    tokenizer = make_tokenizer("t", words("<end>", "<unknown>"), {"eos": 3, "unk": 4})
    assert tokenizer.encode(["w1 what"])[0].tolist() == [1, 4]
    assert tokenizer.special == (3,)


def test_an_unknown_token_that_no_text_needs_is_special():
    backend = byte_level()
    backend.model.unk_token = "<|endoftext|>"
    assert make_tokenizer("t", backend, {"unk": 0, "eos": 0}).special == (0,)
    assert make_tokenizer("t", sentence_piece(), {"unk": 0}).special == (0, 1, 2)


def test_an_id_beyond_those_of_text_is_neither_the_largest_nor_padding():
    backend = words("<end>", "<unknown>")
    backend.add_special_tokens([AddedToken("[PAD]", special=True)])
    tokenizer = make_tokenizer("t", backend, {"eos": 3, "pad": 5})
    assert tokenizer.size == 6
    assert tokenizer.largest_of_text == 4
    assert tokenizer.pad_id() == 3


@pytest.mark.parametrize(
    ("token", "word"),
    [
        *((word, True) for word in ("w0", "!", "▁the", "\n\n", "0", ".")),
        *((mark, False) for mark in ("<s>", "[PAD]", "<|e|>", "__e__", "PAD", "{{x}}", "｜x｜")),
    ],
)
def test_a_mark_is_told_from_a_word_by_its_form(token, word):
    assert is_word(token, {token: 0}) is word
    assert not is_word(token, {})


def test_text_is_read_with_its_special_tokens_where_they_are_meant():
    tokenizer = make_tokenizer("t", words("<end>"), {"eos": 3})
    assert tokenizer.encode(["w1 <end> w2"], special=True)[0].tolist() == [1, 3, 2]
    assert tokenizer.encode(["w1 <end> w2"])[0].tolist() == [1, 4, 2]


def test_nothing_is_cut_off_or_padded_where_special_words_are_in_the_vocabulary(tmp_path):
    made = words("<end>")
    made.enable_truncation(2)
    made.enable_padding(direction="left", length=16, pad_id=0, pad_token="w0")
    tokenizer = load_tokenizer(save_plainly(made, tmp_path, eos_token="<end>"))
    assert tokenizer.encode(["w1 w2 w1"])[0].tolist() == [1, 2, 1]
