import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from streams.errors import ModelError, SettingsError
from streams.tokenizer.alphabet import byte_alphabet
from streams.tokenizer.description import describe, tokenizer_id
from streams.tokenizer.loading import _load_auto, load_tokenizer
from streams.tokenizer.tokenizer import Tokenizer, make_tokenizer
from tests.producers.conftest import (
    END,
    PROSE,
    byte_level,
    save_plainly,
    sentence_piece,
    word_piece,
)

BYTE_LEVEL = make_tokenizer("bytes", byte_level(), {"bos": 0, "eos": 0})
SENTENCES = make_tokenizer("pieces", sentence_piece(), {"bos": 1, "eos": 2, "unk": 0})
WORDS = make_tokenizer("words", word_piece(), {"cls": 1, "unk": 0})


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return [int(n) for n in tokenizer.encode([text])[0]]


def spelt(tokenizer: Tokenizer, text: str) -> bytes:
    return b"".join(tokenizer.tokens[n] for n in encode(tokenizer, text))


@given(st.text())
def test_byte_level_tokens_give_the_bytes_of_any_text_back(text):
    assert spelt(BYTE_LEVEL, text) == text.encode()


@given(st.text(st.characters(exclude_characters=" ▁", exclude_categories=["Cs"]), min_size=1))
def test_pieces_with_byte_fallback_give_the_bytes_back_behind_a_space(text):
    assert spelt(SENTENCES, text) == b" " + text.encode()


def test_words_come_with_the_space_before_them():
    assert spelt(WORDS, "the cats sat") == b" the cats sat"


def test_words_that_end_in_a_mark_come_with_the_space_after_them():
    pieces = {"a": 0, "b</w>": 1}
    made = Backend(models.BPE(pieces, [], end_of_word_suffix="</w>"))
    made.decoder = decoders.BPEDecoder()
    assert make_tokenizer("t", made, {}).tokens == (b"a", b"b ")


def test_ids_that_nothing_has_stand_for_nothing():
    made = Backend(models.WordLevel({"a": 0, "c": 2}, unk_token="a"))
    assert make_tokenizer("t", made, {}).tokens == (b" a", b"", b" c")


def test_the_alphabet_has_a_character_for_every_byte():
    assert sorted(byte_alphabet().values()) == list(range(256))
    assert byte_alphabet()["Ġ"] == ord(" ")


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [
        (BYTE_LEVEL, f"a{END}b"),
        (SENTENCES, "a</s><s> </s>"),
        (WORDS, "the [CLS] cat"),
    ],
)
def test_a_special_token_spelt_in_text_is_text(tokenizer, text):
    unknown = tokenizer.names.get("unk")
    assert not set(encode(tokenizer, text)) & set(tokenizer.special) - {unknown}


def test_a_text_with_a_spelt_special_token_is_otherwise_read_as_before():
    assert spelt(SENTENCES, "cat</s>") == b" cat</s>"
    assert encode(WORDS, "the cat") == [2, 3]


def test_nothing_is_cut_off_or_padded_by_settings_in_the_file():
    made = byte_level()
    made.enable_truncation(3)
    made.enable_padding(length=50)
    assert encode(make_tokenizer("t", made, {}), PROSE[0]) == encode(BYTE_LEVEL, PROSE[0])


def test_the_bos_follows_the_policy():
    assert BYTE_LEVEL.bos_id("auto") is None
    assert BYTE_LEVEL.bos_id("always") == 0
    assert SENTENCES.bos_id("auto") == 1
    assert SENTENCES.bos_id("never") is None
    with pytest.raises(SettingsError, match="no BOS token"):
        WORDS.bos_id("always")
    with pytest.raises(SettingsError, match="is none of auto"):
        WORDS.bos_id("sometimes")  # type: ignore[arg-type]


def test_the_id_does_not_change_with_how_the_file_is_written():
    description = describe(byte_level())
    other = json.loads(json.dumps(description, sort_keys=True))
    other["model"]["a_later_option"] = None
    other["model"]["merges"] = [" ".join(merge) for merge in other["model"]["merges"]]
    other["truncation"] = {"max_length": 9}
    assert tokenizer_id(other) == tokenizer_id(description)


def test_the_id_changes_with_what_the_tokenizer_does():
    changed = describe(byte_level())
    changed["pre_tokenizer"]["add_prefix_space"] = True
    merged = describe(byte_level())
    merged["model"]["merges"].pop()
    ids = {BYTE_LEVEL.id, tokenizer_id(changed), tokenizer_id(merged), SENTENCES.id, WORDS.id}
    assert len(ids) == 5


EXTRA = {"content": "<extra>", "special": True, "lstrip": False, "rstrip": False}


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (None, {}),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, {}),
        (None, {"add_bos_token": True}),
        (None, {"tokenizer_class": "GPT2Tokenizer"}),
        (None, {"mask_token": "<mask>"}),
        (None, {"added_tokens_decoder": {"330": EXTRA}}),
    ],
)
def test_a_folder_gives_what_auto_tokenizer_gives(tmp_path, config, settings):
    save_plainly(byte_level(), tmp_path, bos_token=END, eos_token=END, **settings)
    if config:
        (tmp_path / "config.json").write_text(json.dumps(config))
    found, auto = load_tokenizer(str(tmp_path)), _load_auto(str(tmp_path), str(tmp_path))
    text = "\n".join([*PROSE, END])
    assert encode(found, text) == encode(auto, text)
    for name in ("id", "names", "special", "size", "tokens", "opening", "location"):
        assert getattr(found, name) == getattr(auto, name)


def test_an_ordinary_folder_is_loaded_without_transformers(folder):
    code = f"""if True:
        import sys
        from streams.tokenizer.loading import load_tokenizer
        load_tokenizer({folder!r})
        assert not {{"transformers", "torch"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_a_missing_or_empty_folder_is_one_clear_line(tmp_path):
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ModelError) as caught:
            load_tokenizer(str(place))
        assert str(place) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_broken_tokenizer_file_is_one_clear_line(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast"}'
    )
    with pytest.raises(ModelError, match="cannot load") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_whole_word_lookup_does_not_find_special_tokens():
    made = Backend(models.BPE({"<s>": 0, "<": 1, "s": 2, ">": 3}, [], ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<s>"])
    assert encode(make_tokenizer("t", made, {"bos": 0}), "<s>") == [1, 2, 3]
