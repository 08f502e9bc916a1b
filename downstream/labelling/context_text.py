"""A context as one line of text for a language model: around its peak, some tokens marked."""

import unicodedata
from codecs import getincrementaldecoder
from collections.abc import Collection, Iterator

from downstream.reading.examples import Example

OPEN, CLOSE = "⟦", "⟧"
WINDOW = 40
"""Tokens of a context that are shown at most."""
_STRONG = 0.3
_SIGNS = str.maketrans({OPEN: "[", CLOSE: "]", "\n": "⏎", "\t": "→", "\r": ""})
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def window_of(example: Example, around: int | None = None, tokens: int = WINDOW) -> range:
    """Return the positions that are shown: three quarters of them up to the peak.

    around: a position instead of the peak. A context without either shows its middle.
    """
    return window_at(len(example.token_ids), example.peak if around is None else around, tokens)


def window_at(length: int, at: int, tokens: int = WINDOW) -> range:
    """Return the positions of a row of so many tokens that are shown around one; see above."""
    if at < 0:
        at = length // 2
    first = max(0, min(at + 1 - tokens * 3 // 4, length - tokens))
    return range(first, min(length, first + tokens))


def strong_tokens(example: Example) -> set[int]:
    """Return where the activation is at least 0.3 of the context's largest."""
    largest = max(example.activations, default=0.0)
    values = enumerate(example.activations)
    return {at for at, value in values if value > 0 and value >= _STRONG * largest}


def context_text(example: Example, window: range, marked: Collection[int] = ()) -> str:
    """Return a window with ``⟦`` and ``⟧`` around runs of marked tokens.

    Where the text itself has these signs, line breaks, or what is invisible or turns text round,
    other signs or none stand in their place, so that what is marked is beyond doubt.
    """
    parts, inside = list[str](), False
    for at, text in zip(window, _texts(example, window), strict=True):
        if (at in marked) != inside:
            inside = not inside
            parts.append(OPEN if inside else CLOSE)
        parts.append(text)
    return "".join([*parts, CLOSE if inside else ""])


def plain(text: str) -> str:
    """Return a text on one line, without what is invisible and without the signs of marks."""
    shown = text.translate(_SIGNS)
    return "".join(c for c in shown if unicodedata.category(c) not in _HIDDEN)


def _texts(example: Example, window: range) -> Iterator[str]:
    """Yield what each token adds: a character split over tokens comes with its last one."""
    decoder = getincrementaldecoder("utf-8")("replace")
    for at in window:
        yield plain(decoder.decode(example.tokens[at], at == window[-1]))
