"""The bytes that token ids show as, whatever the kind of tokenizer.

They are found by asking the tokenizer's own decoder: what an id adds between two others, at the
beginning and at the end of a text. Only bytes that are no text alone are worked out by us.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from streams.tokenizer.alphabet import byte_alphabet

Decode = Callable[[Sequence[Sequence[int]]], list[str]]
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_ANCHORS = 64


@dataclass(frozen=True, slots=True)
class TokenTexts:
    """tokens: bytes of each id, from 0 to the largest; an id that means nothing has none.

    first, last, alone: the bytes of ids that show as something else at the beginning or end of a
    text, or as all of it; a decoder may leave a space out there, say. Put together they are the
    decoder's text.
    """

    tokens: tuple[bytes, ...]
    first: Mapping[int, bytes] = field(default_factory=dict)
    last: Mapping[int, bytes] = field(default_factory=dict)
    alone: Mapping[int, bytes] = field(default_factory=dict)

    def shown(self, ids: Sequence[int]) -> list[bytes]:
        """Return what each token of a row shows."""
        found = [self.tokens[number] for number in ids]
        if len(found) == 1:
            return [self.alone.get(ids[0], found[0])]
        if found:
            found[0] = self.first.get(ids[0], found[0])
            found[-1] = self.last.get(ids[-1], found[-1])
        return found


def byte_level_texts(pieces: Mapping[str, int]) -> TokenTexts:
    """Return the bytes of ids whose pieces are written in GPT-2's alphabet."""
    found = [b""] * (max(pieces.values()) + 1)
    for piece, number in pieces.items():
        found[number] = byte_level(piece)
    return TokenTexts(tuple(found))


def byte_level(piece: str) -> bytes:
    """Return the bytes of a piece: by the alphabet, or as it is if any of it is outside."""
    letters = byte_alphabet()
    if all(letter in letters for letter in piece):
        return bytes(letters[letter] for letter in piece)
    return piece.encode()


def character_texts(pieces: Mapping[str, int]) -> TokenTexts:
    """Return the bytes of ids that are bytes or characters, written as one character each."""
    found = [b""] * (max(pieces.values()) + 1)
    for piece, number in pieces.items():
        found[number] = piece.encode(errors="replace")
    return TokenTexts(tuple(found))


def probed_texts(decode: Decode, pieces: Mapping[str, int], bytes_as_pieces: bool) -> TokenTexts:
    """Return the bytes of ids by decoding each between two others, first, and last.

    bytes_as_pieces: pieces like ``<0xE6>`` are bytes.
    """
    anchor = _anchor(decode, pieces)
    numbers = sorted(set(pieces.values()))
    names = {number: piece for piece, number in pieces.items()}
    within = decode([[anchor, number, anchor] for number in numbers])
    before, behind = _sides(decode, anchor, within)
    leading = decode([[number, anchor] for number in numbers])
    trailing = decode([[anchor, number] for number in numbers])
    single = decode([[number] for number in numbers])
    tokens = [b""] * (numbers[-1] + 1)
    first: dict[int, bytes] = {}
    last: dict[int, bytes] = {}
    alone: dict[int, bytes] = {}
    for at, number in enumerate(numbers):
        piece = names[number]
        byte = _BYTE_PIECE.fullmatch(piece) if bytes_as_pieces else None
        if byte and int(byte[1], 16) >= 0x80:
            tokens[number] = bytes((int(byte[1], 16),))
            continue
        middle = _between(within[at], before, behind)
        tokens[number] = _bytes(piece if middle is None else middle)
        for elsewhere, text in (
            (first, _between(leading[at], "", behind)),
            (last, _between(trailing[at], before, "")),
            (alone, single[at]),
        ):
            if text is not None and _bytes(text) != tokens[number]:
                elsewhere[number] = _bytes(text)
    return TokenTexts(tuple(tokens), first, last, alone)


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


def _sides(decode: Decode, anchor: int, within: Sequence[str]) -> tuple[str, str]:
    """Return what the anchor shows before another token and behind it.

    A space between tokens may belong to the one before or to the one after it: to which, the
    texts of all tokens between two anchors tell.
    """
    once, twice = decode([[anchor], [anchor, anchor]])
    ways = [(once, twice[len(once) :]), (twice[: len(twice) - len(once)], once)]
    return max(ways, key=lambda way: sum(_between(text, *way) is not None for text in within))


def _between(text: str, before: str, behind: str) -> str | None:
    fits = len(text) >= len(before) + len(behind)
    if not fits or not text.startswith(before) or not text.endswith(behind):
        return None
    return text[len(before) : len(text) - len(behind)]


def _anchor(decode: Decode, pieces: Mapping[str, int]) -> int:
    """Return the id of a letter, best one that shows the same wherever it stands."""
    letters = (
        number
        for piece, number in sorted(pieces.items())
        if piece[-1:].isascii() and piece[-1:].isalpha()
    )
    candidates = list(islice(letters, _ANCHORS)) or [min(pieces.values())]
    alone = decode([[number] for number in candidates])
    twice = decode([[number, number] for number in candidates])
    for number, once, both in zip(candidates, alone, twice, strict=True):
        if once and both == once + once:
            return number
    for number, once, both in zip(candidates, alone, twice, strict=True):
        if once and both.startswith(once) and len(both) > len(once):
            return number
    return candidates[0]
