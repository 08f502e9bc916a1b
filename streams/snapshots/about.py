"""What a run manifest says about its run for people, checked where readers compute with it."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from streams.bounds import MAX_CONTEXT, MAX_EDGES, MAX_VOCABULARY

_NUMBERS = {
    "k": (1, 2**17),
    "sum_bits": (0, 40),
    "context": (1, MAX_CONTEXT),
    "vocabulary": (1, MAX_VOCABULARY),
    "micro_batch": (1, 2**16),
}
_LISTED = 1024
_LONGEST = 4096


def is_about(about: Mapping[str, Any]) -> bool:
    """Return whether the fields that readers compute with are there as numbers and texts.

    Fields that are missing or unknown are left to whoever wants them.
    """
    return (
        all(_number(about[name], *span) for name, span in _NUMBERS.items() if name in about)
        and _edges(about.get("edges", [0.0]))
        and _texts(about.get("criteria", ["maximum"]))
        and _rankings(about.get("rankings", {"maximum": {}}))
        and _named(about.get("sources", []))
        and _named(about.get("clusterings", []))
        and _texts([about.get("model", ""), about.get("corpus", "")])
    )


def ranking_names(about: Mapping[str, Any]) -> list[str]:
    """Return what a run ranks examples by, without versions, in its order.

    Manifests of the first form of version 2 list the names alone, as ``criteria``.
    """
    named = about.get("rankings") or about.get("criteria", ())
    return [str(name).partition("@")[0] for name in named]


def _number(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _edges(value: Any) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_EDGES:
        return False
    if not all(type(edge) in (int, float) and abs(edge) < math.inf for edge in value):
        return False
    return all(low < high for low, high in pairwise(value))


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _LISTED
        and all(isinstance(text, str) and len(text) <= _LONGEST for text in value)
    )


def _rankings(value: Any) -> bool:
    """Return whether each ranking has a sound k and meaning, as far as it says so."""
    return (
        isinstance(value, dict)
        and 0 < len(value) <= _LISTED
        and all(
            isinstance(one, dict)
            and _number(one.get("k", 1), *_NUMBERS["k"])
            and _texts([one.get("meaning", "")])
            for one in value.values()
        )
    )


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _LISTED
        and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in value)
    )
