"""Tokens as HTML: each shaded by its activation and named on hover. Everything is escaped.

Written in Python because pages hold thousands of tokens, which a template takes too long for. A
token that is silent carries no title: the page's script names it from where it stands.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from downstream.reading.token_text import Piece, whole_pieces
from downstream.rendering import formats
from downstream.rendering.contexts import Context, Token
from downstream.rendering.peaks import Peak

_LONGEST_BLANK = 7


def excerpt(context: Context) -> Markup:
    """Return the tokens around a context's peak, with ellipses where it goes on."""
    before = '<span class="cut">…</span>' if context.first > 0 else ""
    after = '<span class="cut">…</span>' if context.stop < context.length else ""
    shown = "".join(_token(token, context.peak, False) for token in context.excerpt)
    return Markup(f'<span class="row" data-first="{context.first}">{before}{shown}{after}</span>')


def whole(context: Context) -> Markup:
    """Return all tokens of a context; a line break breaks the line."""
    shown = "".join(_token(token, context.peak, True) for token in context.tokens)
    return Markup(f'<span class="row" data-first="0">{shown}</span>')


def pieces(token: Token) -> Markup:
    """Return what a token shows, without its activation."""
    return Markup(_pieces(token, False))


def shade(level: int) -> str:
    """Return the class of a level of activation, "" for none."""
    return f"a{level}" if level > 0 else f"n{-level}" if level < 0 else ""


def _token(token: Token, peak: int, is_whole: bool) -> str:
    shown = _pieces(token, is_whole)
    if token.position == peak:
        return f'<mark class="t {shade(token.level)}"{_title(token)}>{shown}</mark>'
    if not token.level:
        return f'<span class="t">{shown}</span>'
    return f'<span class="t {shade(token.level)}"{_title(token)}>{shown}</span>'


def _title(token: Token) -> str:
    said = f"{formats.number(token.activity)} at" if token.level else "silent at"
    return f' title="{said} position {token.position}"'


def _pieces(token: Token, is_whole: bool) -> str:
    if whole_pieces(token.raw) is not None:
        return _alone(token.raw, is_whole)
    return "".join(_piece(piece, is_whole) for piece in token.pieces)


@lru_cache(2**14)
def _alone(raw: bytes, is_whole: bool) -> str:
    """Return what a token shows that its neighbours do not change."""
    return "".join(_piece(piece, is_whole) for piece in whole_pieces(raw) or ())


def _piece(piece: Piece, is_whole: bool) -> str:
    if piece.kind == "text":
        return str(escape(piece.text))
    if piece.kind == "bytes":
        return f'<i class="b">{escape(piece.text)}</i>'
    if piece.kind == "fragment":
        return _fragment(piece)
    if is_whole:
        broken = piece.text.replace("⏎", "⏎\n")
        return f'<i class="g">{broken}</i>'
    cut = piece.text if len(piece.text) < _LONGEST_BLANK else f"{piece.text[:3]}…"
    return f'<i class="g">{cut}</i>'


def _fragment(piece: Piece) -> str:
    """Return a slice of a character, as wide as its share; only the first is read out or copied."""
    wide = " wide" if unicodedata.east_asian_width(piece.glyph[0]) in "WF" else ""
    hidden = ' aria-hidden="true"' if piece.part else ""
    place = f"of{piece.parts} at{piece.part}"
    return f'<i class="f {place}{wide}"{hidden}><b>{escape(piece.glyph)}</b></i>'


def peaks(found: Sequence[Peak], examples: int) -> Markup:
    """Return the tokens at which most examples peak, each with how many do on hover."""
    chips = (
        f'<span class="peak" title="{formats.count(each.count)} of {formats.count(examples)} best '
        f'examples peak here">{escape(each.text or "(nothing)")}</span>'
        for each in found
    )
    return Markup("".join(chips))
