"""The bytes that token ids stand for, whatever the kind of tokenizer."""

import re
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer as Backend

from streams.tokenizer.description import Description, part_types

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_bytes(backend: Backend, description: Description) -> tuple[bytes, ...]:
    """Return the bytes of each id, from 0 to the largest; an id that means nothing has none.

    Added tokens stand for what they spell. The bytes of the rest follow from the kind: byte-level
    tokens are read back through their alphabet, pieces of SentencePiece have their spaces and
    bytes, whole words get the space that precedes them. Put together they give the text
    back, up to what the tokenizer's normalizer did to it.
    """
    pieces = backend.get_vocab(with_added_tokens=True)
    added = {token["id"]: token["content"] for token in description["added_tokens"]}
    spell = _speller(backend, description)
    found = [b""] * (max(pieces.values()) + 1)
    for piece, number in pieces.items():
        found[number] = added[number].encode() if number in added else spell(piece, number)
    return tuple(found)


def _speller(backend: Backend, description: Description) -> Callable[[str, int], bytes]:
    shown = part_types([description.get("decoder"), description.get("pre_tokenizer")])
    model: dict[str, Any] = description["model"]
    if "ByteLevel" in shown:
        return _byte_level
    if "Metaspace" in shown or "ByteFallback" in shown or model.get("byte_fallback"):
        return _sentence_piece
    if model["type"] == "WordPiece":
        prefix = model.get("continuing_subword_prefix") or "##"
        return lambda piece, number: _word_piece(piece, prefix)
    suffix = model.get("end_of_word_suffix")
    if suffix:
        return lambda piece, number: _end_of_word(piece, suffix)
    if description.get("decoder") is None:
        return lambda piece, number: f" {piece}".encode()  # decoding puts spaces between tokens
    return lambda piece, number: (backend.decode([number]) or piece).encode()


def byte_alphabet() -> dict[str, int]:
    """Return the byte that each character of GPT-2's alphabet stands for.

    Bytes that print stand for themselves as Latin-1; the others, in order, take the characters
    from U+0100 on.
    """
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(prints)]
    return {chr(b): b for b in prints} | {chr(256 + n): b for n, b in enumerate(hidden)}


_ALPHABET = byte_alphabet()


def _byte_level(piece: str, number: int) -> bytes:
    return b"".join(
        bytes((_ALPHABET[letter],)) if letter in _ALPHABET else letter.encode() for letter in piece
    )


def _sentence_piece(piece: str, number: int) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes((int(byte[1], 16),)) if byte else piece.replace("▁", " ").encode()


def _word_piece(piece: str, prefix: str) -> bytes:
    return piece.removeprefix(prefix).encode() if piece.startswith(prefix) else f" {piece}".encode()


def _end_of_word(piece: str, suffix: str) -> bytes:
    whole = piece.endswith(suffix)
    return (piece.removesuffix(suffix) + " ").encode() if whole else piece.encode()
