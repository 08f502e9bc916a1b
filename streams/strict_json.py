"""JSON of strangers: bounded in size and depth, each key once, and finite numbers only."""

import json
import math
from collections.abc import Iterable
from itertools import chain
from typing import Any, Never

_DEPTH = 32
_DIGITS = 40


class JsonError(ValueError):
    """It is no JSON that we take; the text is the end of "it ..."."""


def parse_json(data: bytes, most: int, *, finite: bool = True) -> Any:
    """Return the value that UTF-8 text of up to ``most`` bytes holds; raises JsonError.

    finite: whether NaN and Infinity, which Python writes into JSON, are refused.
    """
    if len(data) > most:
        raise JsonError(f"has {len(data):,} bytes, more than the {most:,} that are read")
    try:
        found = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_no_constant if finite else float,
            parse_float=_finite if finite else float,
            parse_int=_integer,
        )
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError(f"is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise JsonError("is nested too deeply") from error
    except ValueError as error:
        raise JsonError(f"is not JSON: {error}") from error
    _check(found)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonError(f"is ambiguous: {twice[:80]!r} stands there twice")
    return found


def _no_constant(word: str) -> Never:
    raise JsonError(f"holds {word} where a number should be")


def _finite(digits: str) -> float:
    found = float(digits)
    if not math.isfinite(found):
        raise JsonError(f"holds a number that is too large ({digits[:20]})")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise JsonError(f"holds a number of {len(digits):,} digits")
    return int(digits)


def _check(value: Any) -> None:
    """Raise JsonError for what is nested too deeply, or is text that UTF-8 has no bytes for."""
    level, depth = [value], 0
    while level:
        if any(isinstance(one, str) and not _encodable(one) for one in level):
            raise JsonError("holds half a surrogate pair")
        depth += 1
        if depth > _DEPTH:
            raise JsonError(f"is nested more than {_DEPTH} deep")
        level = [inner for one in level for inner in _inside(one)]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain(value, value.values())
    return value if isinstance(value, list) else ()


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
