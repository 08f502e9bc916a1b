"""Active features of texts: every activation of several texts, summed up and ranked in groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from streams.arrays import F32, F64, I64, AnyArray
from streams.asking.question import Order


@dataclass(frozen=True, slots=True, eq=False)
class Active:
    """Activations of texts, one entry each: [entry], by text, component and token.

    token counts within its text. activation is above the component's threshold, value its signed
    value.
    """

    text: I64
    component: I64
    token: I64
    activation: F32
    value: F32

    def __len__(self) -> int:
        return len(self.text)

    def of(self, chosen: AnyArray) -> "Active":
        """Return some of the entries, by a mask or by their numbers."""
        return Active(
            self.text[chosen],
            self.component[chosen],
            self.token[chosen],
            self.activation[chosen],
            self.value[chosen],
        )

    @classmethod
    def joined(cls, parts: Sequence["Active"]) -> "Active":
        """Return the entries of several, one after the other."""
        ints, floats = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return cls(
            np.concatenate([ints, *(part.text for part in parts)]),
            np.concatenate([ints, *(part.component for part in parts)]),
            np.concatenate([ints, *(part.token for part in parts)]),
            np.concatenate([floats, *(part.activation for part in parts)]),
            np.concatenate([floats, *(part.value for part in parts)]),
        )

    def parts(self, texts: Sequence[int]) -> Iterator["Active"]:
        """Yield the entries of so many texts each, sorted as they are; texts count anew in each."""
        starts = np.cumsum([0, *texts])
        for first, bounds in zip(
            starts, pairwise(np.searchsorted(self.text, starts)), strict=False
        ):
            part = self.of(np.arange(*bounds))
            yield replace(part, text=part.text - first)

    def sorted(self) -> "Active":
        """Return the entries in their order."""
        return self.of(np.lexsort((self.token, self.component, self.text)))


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Activations of components summed up, [component] in ascending order.

    text and peak: where the largest is, the first such. tokens: how many there are. last: at the
    last token that counts of its text, summed over texts.
    """

    component: I64
    text: I64
    peak: I64
    total: F64
    maximum: F32
    tokens: I64
    last: F64

    def score(self, by: Order) -> F64:
        """Return what they are ordered by, [component]."""
        scores = {
            "total": self.total,
            "maximum": self.maximum,
            "tokens": self.tokens,
            "last": self.last,
        }
        return np.asarray(scores[by], np.float64)


def totals_of(active: Active, last_token: I64) -> Totals:
    """Return the sums of each component of entries that are sorted by component.

    last_token: of each text, [text]. Sums are in float64 and in the order of the entries, so that
    they do not depend on how texts were batched.
    """
    starts = np.flatnonzero(np.diff(active.component, prepend=-1))
    if not len(starts):
        none, nothing = np.zeros(0, np.int64), np.zeros(0, np.float64)
        return Totals(none, none, none, nothing, np.zeros(0, np.float32), none, nothing)
    number = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(active)]))
    maximum = np.maximum.reduceat(active.activation, starts)
    at_peak = np.flatnonzero(active.activation == maximum[number])
    peak = at_peak[np.unique(number[at_peak], return_index=True)[1]]
    at_last = active.token == last_token[active.text]
    activation = active.activation.astype(np.float64)
    return Totals(
        component=active.component[starts],
        text=active.text[peak],
        peak=active.token[peak],
        total=np.add.reduceat(activation, starts),
        maximum=maximum,
        tokens=np.bincount(number),
        last=np.add.reduceat(np.where(at_last, activation, 0.0), starts),
    )


def best(group: I64, score: AnyArray, tie: I64, k: int) -> I64:
    """Return the numbers of the ``k`` entries of each group with the highest score, best first.

    Of equal scores the lower ``tie`` is better. Groups come in ascending order.
    """
    order = np.lexsort((tie, -np.asarray(score, np.float64), group))
    ranked = group[order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-1))
    sizes = np.diff(np.r_[starts, len(ranked)])
    rank = np.arange(len(ranked)) - np.repeat(starts, sizes)
    return order[rank < k]
