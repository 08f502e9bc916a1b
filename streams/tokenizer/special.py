"""Which ids no text can become."""

import re
from collections.abc import Iterable, Mapping

from streams.tokenizer.alphabet import byte_alphabet
from streams.tokenizer.description import Description, part_types

# How tokens look that stand for something else than what they spell.
_MARK = re.compile(r"[<\[{|｜].*[>\]}|｜]|__.*__", re.S)
_WORDS = {"bos", "eos", "pad", "unk", "unknown", "cls", "sep", "mask"}
_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def unreachable_ids(description: Description, names: Mapping[str, int]) -> frozenset[int]:
    """Return the ids of special tokens that no text becomes when it is read as text.

    names: the ids that settings name as BOS, padding and so on. An ordinary word that is named so
    is text where it stands as text; and what unknown text becomes is reached by it.
    """
    pieces = _pieces(description)
    words = {
        token["id"]
        for token in description["added_tokens"]
        if token["id"] in names.values() and is_word(token["content"], pieces)
    }
    special = {token["id"] for token in description["added_tokens"] if token["special"]}
    return frozenset(special - words - _unknown(description, pieces))


def is_word(content: str, pieces: Iterable[str]) -> bool:
    """Return whether a token is an ordinary word of a vocabulary and not a mark."""
    bare = content.strip("▁Ġ \t\n")
    return content in pieces and not _MARK.fullmatch(bare) and bare.lower() not in _WORDS


def _unknown(description: Description, pieces: Mapping[str, int]) -> set[int]:
    """Return the id that text becomes for which there is nothing else, if that can happen."""
    model = description["model"]
    if model.get("byte_fallback") and pieces.keys() >= _BYTES:
        return set()
    shown = part_types(description.get("pre_tokenizer"))
    if "ByteLevel" in shown and pieces.keys() >= byte_alphabet().keys():
        return set()
    if model["type"] == "Unigram":
        return set() if model.get("unk_id") is None else {model["unk_id"]}
    token = model.get("unk_token")
    return {pieces[token]} if token in pieces else set()


def _pieces(description: Description) -> dict[str, int]:
    vocabulary = description["model"]["vocab"]
    if isinstance(vocabulary, dict):
        return vocabulary
    return {piece: number for number, (piece, _) in enumerate(vocabulary)}
