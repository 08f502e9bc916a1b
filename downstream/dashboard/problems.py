"""What went wrong, in words for people who open pages: without the paths of the server."""

import re

from streams.errors import StoreError

_NAME = r"[^\s'\"“”,;:()<>/]*"
_PATH = re.compile(rf"(?:\b(?!kafka|memory|https?)[a-z0-9]+:/|(?<![:/\w]))(?:/{_NAME})*/({_NAME})")


def said(error: Exception, place: str = "") -> str:
    """Return what an error says. place: of the store, whose path may hold anything."""
    if isinstance(error, StoreError):
        return "the store cannot be read"
    return without_paths(str(error), place)


def without_paths(text: str, place: str = "") -> str:
    """Return a text with the last name of each path in place of the path."""
    shown = text.replace(place, "") if len(place) > 1 else text
    return _PATH.sub(lambda found: f"…/{found[1]}" if found[1] else found[0], shown)


def sentence(error: Exception) -> str:
    """Return what an error says as a sentence; names in it stay as they are."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
