"""Styles, script and mark of pages: on a server, in files beside a page, or within it."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup

STYLE, SCRIPT, MARK = "style.css", "page.js", "mark.svg"
_STATIC = "/static/"
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src {styles}; '
    "script-src {scripts}; img-src {images}; base-uri 'none'; form-action 'none'\">\n"
    '<meta name="referrer" content="no-referrer">\n'
)


@dataclass(frozen=True, slots=True)
class Assets:
    """Where a page finds what it needs. head, foot: what its ends say. mark: address of the mark.

    beside: files that have to lie beside the page, by name.
    """

    head: Markup
    foot: Markup
    mark: str
    beside: Mapping[str, bytes]


def served_assets() -> Assets:
    """Return those that a server has; what pages may load is in its answers' headers."""
    return Assets(_links(_STATIC, ""), Markup(), f"{_STATIC}{MARK}", {})


def assets_beside() -> Assets:
    """Return those of pages in a folder, wherever it is opened: from a disk or from a server."""
    ours = "'self' file:"
    policy = _POLICY.format(styles=ours, scripts=ours, images=ours)
    return Assets(
        _links("", policy), Markup(), MARK, {name: _read(name) for name in (STYLE, SCRIPT, MARK)}
    )


def assets_within() -> Assets:
    """Return those of a page that is one file: nothing else runs or is loaded."""
    style, script = _read(STYLE).decode(), _read(SCRIPT).decode()
    mark = f"data:image/svg+xml;base64,{base64.b64encode(_read(MARK)).decode()}"
    policy = _POLICY.format(styles=_hash(style), scripts=_hash(script), images="data:")
    head = f'{policy}<link rel="icon" href="{mark}">\n<style>{style}</style>'
    return Assets(Markup(head), Markup(f"<script>{script}</script>"), mark, {})


def _links(folder: str, policy: str) -> Markup:
    return Markup(
        f'{policy}<link rel="icon" href="{folder}{MARK}" type="image/svg+xml">\n'
        f'<link rel="stylesheet" href="{folder}{STYLE}">\n'
        f'<script src="{folder}{SCRIPT}" defer></script>'
    )


def _hash(text: str) -> str:
    """Return what a policy calls a text that may stand in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _read(name: str) -> bytes:
    return (files("downstream.rendering") / "static" / name).read_bytes()
