"""What is done to features in a row of text, and the text: plain values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streams.arrays import F32, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A change of one feature. source: the number of its source in the run.

    kind: "add" adds ``amount`` times the feature's decoder direction; "set" makes its activation
    ``amount``, by adding the difference times the direction, so that what the dictionary does not
    explain stays. amount: a number, or one for each token, [token].
    """

    source: int
    index: int
    kind: Literal["add", "set"]
    amount: float | F32

    def amounts(self, tokens: int) -> F32:
        """Return the amount at each of a row's tokens, [token]; the last one for later tokens."""
        given = np.atleast_1d(np.asarray(self.amount, np.float32))
        return given[np.minimum(np.arange(tokens), len(given) - 1)]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedRow:
    """A row of text with the changes that are made in it, none of them for the plain model.

    ids: int64, [token]. at: at which tokens, [token].
    """

    ids: I64
    at: Bool
    changes: tuple[Change, ...] = ()

    def longer(self, tokens: I64, changed: bool) -> "ChangedRow":
        """Return the row with tokens more. changed: whether changes are made there, too."""
        at = np.full(len(tokens), changed)
        return ChangedRow(np.r_[self.ids, tokens], np.r_[self.at, at], self.changes)
