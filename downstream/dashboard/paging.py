"""Paging of lists for programs: how many rows, and a cursor that says where they begin.

A cursor belongs to the content of a snapshot, whose lists do not change: rows are neither passed
over nor seen twice, and a cursor of another content is refused.
"""

import re
from collections.abc import Mapping

PAGE, MOST = 50, 500
_CURSOR = re.compile(r"([0-9a-f]{12})-([0-9]{1,9})")


class CursorError(ValueError):
    """The cursor is none, or one of another snapshot."""


def cursor_at(content: str, start: int) -> str:
    """Return the cursor of the rows from ``start`` on, of a snapshot's content."""
    return f"{content[:12]}-{start}"


def start_of(asked: Mapping[str, str], content: str) -> int | None:
    """Return where the rows begin that an address asks for by a cursor, None without one.

    Raises CursorError.
    """
    cursor = asked.get("cursor", "")
    if not cursor:
        return None
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise CursorError("this is no cursor")
    if found[1] != content[:12]:
        raise CursorError("this cursor is of another snapshot: begin again without one")
    return int(found[2])


def number_of(text: str, otherwise: int) -> int:
    """Return a number from 1 on; what is none reads as ``otherwise``."""
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        return otherwise
    return max(int(text), 1)
