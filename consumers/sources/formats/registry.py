"""The formats that are read beside SAELens' own, and where dictionaries in them lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consumers.sources.formats import SAELENS_WEIGHTS
from consumers.sources.formats.circuit_tracer import CircuitTracer
from consumers.sources.formats.dictionary_learning import DictionaryLearning
from consumers.sources.formats.format import Format
from consumers.sources.formats.gemma_scope import GemmaScope
from consumers.sources.formats.openai import OpenAI
from consumers.sources.formats.sparsify import Sparsify
from streams.errors import ModelError

FORMATS: tuple[Format, ...] = (
    Sparsify(),
    GemmaScope(),
    OpenAI(),  # before the next one, which shares names of tensors with it
    DictionaryLearning(),
    CircuitTracer(),
)
_LISTED = 5


def find_format(place: Path) -> Format | None:
    """Return the format of what lies at a place; None for SAELens' own and for the unknown."""
    if (place / SAELENS_WEIGHTS).is_file() or not place.exists():
        return None
    return next((each for each in FORMATS if each.recognises(place)), None)


def foreign_metadata(place: Path) -> Mapping[str, Any] | None:
    """Return what a dictionary in another format says of itself; None if there is none.

    What cannot be read says nothing here, and is refused when it is loaded.
    """
    try:
        found = find_format(place)
        return None if found is None else found.metadata(place)
    except (ModelError, OSError):
        return {}


def not_recognised(place: Path) -> str:
    """Return why a folder or file is no dictionary of a known format, and what would be."""
    if place.is_dir():
        inner = [p.name for p in sorted(place.iterdir()) if not p.name.startswith(".")]
        usable = [n for n in inner[:1000] if _is_dictionary(place / n)]
        if usable:
            more = ", ..." if len(usable) > _LISTED else ""
            return f"holds several dictionaries: name one of {', '.join(usable[:_LISTED])}{more}"
    known = ", ".join(each.name for each in FORMATS)
    return (
        f"is no SAELens folder, it lacks cfg.json or {SAELENS_WEIGHTS}; nor is it one of: {known}"
    )


def _is_dictionary(place: Path) -> bool:
    try:
        return (place / SAELENS_WEIGHTS).is_file() or find_format(place) is not None
    except (ModelError, OSError):
        return False
