"""A feature's page as Markdown, to be pasted into notes and issues."""

import re
from collections.abc import Iterator, Sequence

from downstream.reading.token_text import visible
from downstream.rendering import formats
from downstream.rendering.cluster import ClusterPage
from downstream.rendering.contexts import Context, Token
from downstream.rendering.data import LoadedSnapshot

EXAMPLES = 10
_SYNTAX = re.compile(r"([\\`*_{}\[\]#|<>~&])")
_TICKS = re.compile(r"`+")


def markdown(snapshot: LoadedSnapshot, page: ClusterPage, called: str, address: str) -> str:
    """Return a feature's numbers and best examples. called: its label or top tokens.

    Tokens are code, the one at the peak is bold. address: of the page, of the snapshot for good.
    """
    here, manifest = page.clustering, snapshot.manifest
    title = f"{here.noun} {page.label or '(no label)'} of {here.name}"
    lines = [f"### {plain(title)}{f': {plain(called)}' if called else ''}", ""]
    lines.append(
        f"Run {plain(manifest.run)}, snapshot {plain(manifest.snapshot)}, content "
        f"`{manifest.content[:12]}`, <{address}>"
    )
    lines += ["", "| number | value | is |", "|---|---:|---|"]
    lines += [f"| {n.name} | {plain(n.text)} | {n.kind} |" for n in page.numbers]
    if page.contexts:
        lines += ["", f"| {plain(page.ranking)} | example |", "|---:|---|"]
        lines += [_example(context) for context in page.contexts[:EXAMPLES]]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return a text in which nothing is syntax of Markdown."""
    return _SYNTAX.sub(r"\\\1", visible(text).replace("\n", " "))


def code(text: str) -> str:
    """Return a text as code, whatever back ticks it holds; a bar does not end a table's cell."""
    if not text:
        return ""
    ticks = "`" * (max((len(one) for one in _TICKS.findall(text)), default=0) + 1)
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{room}{text}{room}{ticks}".replace("|", "\\|")


def _example(context: Context) -> str:
    cells = "".join(_runs(context.excerpt, context.peak))
    before, after = ("… " if context.first else "", " …" if context.stop < context.length else "")
    return f"| {formats.number(context.score)} | {before}{cells}{after} |"


def _runs(tokens: Sequence[Token], peak: int) -> Iterator[str]:
    before = "".join(_text(token) for token in tokens if token.position < peak)
    at = "".join(_text(token) for token in tokens if token.position == peak)
    yield code(before)
    yield f" **{code(at)}** " if at else ""
    yield code("".join(_text(token) for token in tokens if token.position > peak))


def _text(token: Token) -> str:
    return visible("".join(piece.text for piece in token.pieces)).replace("\n", "⏎")
