"""Examples as shaded text for notebooks: HTML that carries its own style, everything escaped."""

from html import escape
from typing import TYPE_CHECKING

from downstream.reading.token_text import readable

if TYPE_CHECKING:
    from downstream.reading.examples import Example

_COLOUR = "255, 140, 0"
_MOST = 0.85


def shaded_html(example: "Example") -> str:
    """Return an example's text, each token shaded by its activation and the peak underlined."""
    tokens = "".join(
        _token(example, at, "".join(piece.text for piece in pieces))
        for at, pieces in enumerate(readable(example.tokens))
    )
    where = " · ".join(filter(None, (example.domain, example.document)))
    head = f"<small>{example.ranking} #{example.rank}, score {example.score:.4g}"
    return (
        f'<div style="margin: 0.4em 0">{head}{f", {escape(where)}" if where else ""}</small>'
        f'<div style="white-space: pre-wrap; font-family: monospace">{tokens}</div></div>'
    )


def _token(example: "Example", at: int, text: str) -> str:
    value = example.activations[at]
    share = min(1.0, value / example.scale) if example.scale > 0 else 0.0
    style = f"background: rgba({_COLOUR}, {_MOST * share:.3f})" if share > 0 else ""
    if at == example.peak:
        style += f"{'; ' if style else ''}text-decoration: underline"
    return f'<span style="{style}" title="{value:.4g} at position {at}">{escape(text)}</span>'
