"""Splits of a dataset and slices of them, as the datasets library writes them: train[:10%]+test."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.errors import CorpusError

_PART = re.compile(r"(?P<name>[^\[\]+]*)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a slice begins or ends: so many rows, or per cent of all; negative from the end."""

    number: int
    percent: bool = False

    def row(self, length: int) -> int:
        """Return the row, from 0 to ``length``; per cents are rounded to the nearest row."""
        row = round(self.number * length / 100) if self.percent else self.number
        return min(max(row + length if row < 0 else row, 0), length)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of a split. name: "" for the only one. None: from its beginning, to its end."""

    name: str
    start: Bound | None = None
    stop: Bound | None = None

    def rows(self, length: Callable[[], int]) -> tuple[int, int | None]:
        """Return the first row and the one behind the last, None for all that are left.

        length: asked for the number of rows in the split, only where that matters.
        """
        if _plain(self.start) and _plain(self.stop):
            return (self.start.number if self.start else 0), (
                self.stop.number if self.stop else None
            )
        total = length()
        start = self.start.row(total) if self.start else 0
        return start, self.stop.row(total) if self.stop else total


def parse_split(split: str, place: str) -> tuple[Slice, ...]:
    """Return the slices that an expression names; raise CorpusError if it is none."""
    return tuple(_slice(part.strip(), split, place) for part in split.split("+"))


def choose(name: str, known: Mapping[str, object], place: str) -> str:
    """Return the split that a slice means: the one named, the only one, or ``train``."""
    wanted = name or ("train" if "train" in known or len(known) != 1 else next(iter(known)))
    if wanted not in known:
        raise CorpusError(
            f"dataset {place} has no split {wanted!r}: add # and one of {', '.join(known)}"
        )
    return wanted


def _slice(part: str, split: str, place: str) -> Slice:
    found = _PART.fullmatch(part)
    if found is None or not part:
        raise CorpusError(
            f"{place}: {split!r} is no split: write train, train[:1000], train[10%:20%] or "
            "several with + between"
        )
    return Slice(found["name"], _bound(found["start"]), _bound(found["stop"]))


def _bound(text: str | None) -> Bound | None:
    return None if text is None else Bound(int(text.rstrip("%")), text.endswith("%"))


def _plain(bound: Bound | None) -> bool:
    return bound is None or not (bound.percent or bound.number < 0)
