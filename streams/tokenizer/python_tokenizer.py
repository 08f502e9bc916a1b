"""Tokenizers of transformers that are written in Python: ByT5, CANINE, CTRL and their like."""

import hashlib
import json
from typing import Any

from streams.tokenizer.encoders import PythonEncoder
from streams.tokenizer.special import is_word
from streams.tokenizer.token_text import TokenTexts, character_texts, probed_texts
from streams.tokenizer.tokenizer import Tokenizer

_NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
# A vocabulary that is Unicode itself is not asked for one character at a time.
_LARGEST_PROBED = 500_000


def python_tokenizer(location: str, loaded: Any) -> Tokenizer:
    """Return a tokenizer that does what a loaded one does. loaded: of transformers, not fast."""
    pieces: dict[str, int] = dict(loaded.get_vocab())
    names = {
        name: int(number)
        for name in _NAMED
        if (number := getattr(loaded, f"{name}_token_id", None)) is not None
    }
    special = {
        number
        for number, token in loaded.added_tokens_decoder.items()
        if token.special and not (number in names.values() and is_word(token.content, pieces))
    }
    unreachable = special - {names.get("unk")}
    spelt = [t.content for n, t in loaded.added_tokens_decoder.items() if n in unreachable]
    encoder = PythonEncoder(loaded, spelt)
    size = max(len(loaded), max(pieces.values()) + 1)
    return Tokenizer(
        location=location,
        id=_id(loaded, pieces),
        size=size,
        special=tuple(sorted(unreachable)),
        names=names,
        opening=_opening(loaded),
        texts=_texts(loaded, encoder, pieces, special),
        encoder=encoder,
        largest_of_text=max(set(pieces.values()) - unreachable),
    )


def _texts(
    loaded: Any, encoder: PythonEncoder, pieces: dict[str, int], special: set[int]
) -> TokenTexts:
    if _is_bytes(loaded):
        found = list(character_texts(pieces).tokens)
        for piece, number in pieces.items():
            if len(piece) == 1 and ord(piece) < 256 and number not in special:
                found[number] = bytes((ord(piece),))
        return TokenTexts(tuple(found))
    if len(pieces) > _LARGEST_PROBED:
        return character_texts(pieces)
    return probed_texts(encoder.decode, pieces, bytes_as_pieces=False)


def _is_bytes(loaded: Any) -> bool:
    """Return whether the tokens of a text are its bytes, written as one character each."""
    pieces: list[str] = loaded.tokenize("aé")
    return pieces == [chr(byte) for byte in "aé".encode()]


def _id(loaded: Any, pieces: dict[str, int]) -> str:
    """Return a hash of what a tokenizer does, 32 hexadecimal digits."""
    deciding = {
        "class": type(loaded).__name__,
        "pieces": sorted(pieces.items()),
        "merges": [list(pair) for pair in getattr(loaded, "bpe_ranks", {})],
        "added": sorted((n, str(t)) for n, t in loaded.added_tokens_decoder.items()),
    }
    text = json.dumps(deciding, ensure_ascii=True, default=str, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _opening(loaded: Any) -> tuple[int, ...]:
    """Return the ids that a tokenizer puts before a text when left to itself."""
    plain = loaded.encode("a", add_special_tokens=False)
    whole = loaded.encode("a", add_special_tokens=True)
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start])
    return ()
