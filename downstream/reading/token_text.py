"""Token bytes as text for people.

Characters split over tokens are put together and shown by the token that completes them; the
fragments before it, and bytes that are no text at all, show as ⟨e2⟩. Whitespace and invisible
characters get a visible sign, so that nothing in a text can hide or bend the page.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Kind = Literal["text", "space", "break", "bytes"]

_SIGNS: dict[str, tuple[str, Kind]] = {
    " ": ("·", "space"),
    "\t": ("→", "space"),
    "\n": ("⏎", "break"),
}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a token that is shown in one way."""

    text: str
    kind: Kind


def readable(tokens: Sequence[bytes]) -> list[tuple[Piece, ...]]:
    """Return what each token of one context shows."""
    try:
        return [tuple(_pieces(token.decode())) for token in tokens]
    except UnicodeDecodeError:
        return _joined(tokens)


def _joined(tokens: Sequence[bytes]) -> list[tuple[Piece, ...]]:
    """The same where a token alone is no UTF-8: decode across token borders."""
    data = b"".join(tokens)
    owner = [number for number, token in enumerate(tokens) for _ in token]
    shown: list[list[str | int]] = [[] for _ in tokens]
    at = 0
    while at < len(data):
        character = _character(data, at)
        width = len(character.encode()) if character else 1
        last = owner[at + width - 1]
        for place in range(at, at + width):
            if not character or owner[place] != last:
                shown[owner[place]].append(data[place])
        if character:
            shown[last].append(character)
        at += width
    return [tuple(_assembled(parts)) for parts in shown]


def _assembled(parts: list[str | int]) -> Iterator[Piece]:
    """Yield the pieces of a token from its characters and its loose bytes."""
    for kind, run in groupby(parts, type):
        if kind is int:
            yield Piece("".join(f"⟨{byte:02x}⟩" for byte in run), "bytes")
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
