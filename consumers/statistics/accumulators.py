"""Accumulators: the kinds of state that a statistic can ask for, and how each is added up."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from consumers.statistics.keys import LONGEST
from consumers.statistics.sketch import DEPTH
from streams.arrays import I64

Owner = Literal["cluster", "feature", "run"]

SUM_BYTES, MOMENTS_BYTES, KEY_BYTES, TEXT_BYTES = 8, 16, 12, 4 * LONGEST + 4
"""State of an entry of a sum, of moments, of a key beside its sums, and of the text behind a key:
at most 4 bytes a character, and its length."""


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """Sums of whole numbers from 0 on, up to 2**63.

    width: entries per owner; an array has one per cluster, 0 for clusters without any. per: who
    owns them; what the run owns is counted once, in its first bucket.
    large: they pass 2**32 in an ordinary run, so that all sums of their bucket take 8 bytes; for
    foreseeing sizes alone.
    """

    name: str
    width: int | I64 = 1
    per: Owner = "cluster"
    large: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sum (a whole number), minimum and maximum (float32) of something, three numbers an entry.

    signed: the sum may be negative. An entry that nothing was added to has the sum 0, and infinity
    and minus infinity as minimum and maximum.
    """

    name: str
    width: int | I64 = 1
    signed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """Sums by key: ``columns`` whole numbers from 0 on for each key of an owner.

    The last ``maxima`` columns are no sums: of each the largest number is kept.

    Of an owner's keys the ``budget`` smallest are kept, the sums of all others go to one entry,
    ``keys.OTHER``. A kept key was never evicted, so its sums are exact; keys are hashes, so which
    ones are kept does not depend on order. named: keys are hashes of texts (``keys.key_of``); then
    those of the ``budget`` smallest hashes of the run are kept, in every cluster the same.

    sketch: where it is above 0, an owner with more than ``budget`` keys has them all in a sketch
    with so many cells in a row instead (``sketch.py``); no key may be as large as its cells' are.
    """

    name: str
    budget: int
    columns: int = 1
    per: Literal["cluster", "run"] = "cluster"
    named: bool = False
    sketch: int = 0
    maxima: int = 0

    @property
    def bytes(self) -> int:
        """The most that the entries of an owner take."""
        entries = max(self.budget, DEPTH * self.sketch) + 1
        return entries * (KEY_BYTES + SUM_BYTES * self.columns)

    @property
    def text_bytes(self) -> int:
        """The most that the texts behind its keys take, which every bucket holds."""
        return self.budget * TEXT_BYTES if self.named else 0


Accumulator = Sum | Moments | Keyed


def has_large_sums(accumulators: Iterable[Accumulator]) -> bool:
    """Return whether some sums are large, see ``Sum``."""
    return any(isinstance(each, Sum) and each.large for each in accumulators)
