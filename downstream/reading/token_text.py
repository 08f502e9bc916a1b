"""Token bytes as text for people.

A character split over tokens is a fragment in each of them, which share its glyph; bytes that are
no text at all show as ⟨e2⟩. Whitespace and invisible characters get a visible sign, so that
nothing in a text can hide or bend the page.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal

Kind = Literal["text", "space", "break", "bytes", "fragment"]

_SIGNS: dict[str, tuple[str, Kind]] = {
    " ": ("·", "space"),
    "\t": ("→", "space"),
    "\n": ("⏎", "break"),
}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a token that is shown in one way.

    A fragment is part number ``part`` of ``parts`` of a character, one per token that holds some of
    its bytes: ``glyph`` is the character in each, ``text`` only in the first, so that the texts of
    a row read on.
    """

    text: str
    kind: Kind
    glyph: str = ""
    part: int = 0
    parts: int = 1


def readable(tokens: Sequence[bytes]) -> list[tuple[Piece, ...]]:
    """Return what each token of one context shows."""
    found = [whole_pieces(token) for token in tokens]
    at = 0
    while at < len(found):
        stop = at
        while stop < len(found) and found[stop] is None:
            stop += 1
        if stop > at:  # a token that decodes alone holds no part of another's character
            found[at:stop] = _joined(tokens[at:stop])
        at = stop + 1
    return [pieces or () for pieces in found]


@lru_cache(2**15)
def whole_pieces(token: bytes) -> tuple[Piece, ...] | None:
    """Return what a token shows wherever it stands; None where its neighbours decide."""
    try:  # of no bytes: it may lie between those of one character
        return tuple(_pieces(token.decode())) or None
    except UnicodeDecodeError:
        return None


def _joined(tokens: Sequence[bytes]) -> list[tuple[Piece, ...] | None]:
    """Return what tokens show that are no UTF-8 alone: decode across token borders."""
    data = b"".join(tokens)
    owner = [number for number, token in enumerate(tokens) for _ in token]
    shown: list[list[str | int | Piece]] = [[] for _ in tokens]
    at = 0
    while at < len(data):
        character = _character(data, at)
        width = len(character.encode()) if character else 1
        owners = list(dict.fromkeys(owner[at : at + width]))
        if len(owners) == 1:
            shown[owners[0]].append(character or data[at])
        elif _kind(character, blank=False) == "text":
            for part, number in enumerate(owners):
                text = "" if part else character
                shown[number].append(Piece(text, "fragment", character, part, len(owners)))
        else:  # nothing to see: the last token says which it is, the others name their bytes
            for place in range(at, at + width):
                if owner[place] != owners[-1]:
                    shown[owner[place]].append(data[place])
            shown[owners[-1]].append(character)
        at += width
    return [tuple(_assembled(parts)) for parts in shown]


def _assembled(parts: list[str | int | Piece]) -> Iterator[Piece]:
    """Yield the pieces of a token from its characters, its loose bytes and its fragments."""
    for kind, run in groupby(parts, type):
        if kind is int:
            yield Piece("".join(f"⟨{byte:02x}⟩" for byte in run), "bytes")
        elif kind is Piece:
            yield from (each for each in run if isinstance(each, Piece))
        else:
            yield from _pieces("".join(map(str, run)))


def _character(data: bytes, at: int) -> str:
    """Return the character that begins at a byte, or nothing if none does."""
    for width in range(1, 5):
        try:
            return data[at : at + width].decode()
        except UnicodeDecodeError:
            continue
    return ""


def _pieces(text: str) -> Iterator[Piece]:
    """Split text into what shows as itself and what needs a sign.

    Spaces between or before letters stay spaces; a token of nothing else shows them.
    """
    blank = not text.strip()
    for kind, run in groupby(text, lambda character: _kind(character, blank)):
        if kind == "text":
            yield Piece("".join(run), "text")
        elif kind == "bytes":
            yield Piece("".join(f"⟨U+{ord(character):04X}⟩" for character in run), "bytes")
        else:
            yield Piece("".join(_SIGNS.get(character, ("·", ""))[0] for character in run), kind)


def _kind(character: str, blank: bool) -> Kind:
    if character == " " and not blank:
        return "text"
    if character in _SIGNS:
        return _SIGNS[character][1]
    category = unicodedata.category(character)
    if category == "Zs":
        return "space"
    return "bytes" if category in _HIDDEN else "text"


def visible(text: str) -> str:
    """Return a label or a document's name with a sign for all that could hide or bend the page."""
    return "".join(piece.text for piece in _pieces(text)) if text.strip() else text
