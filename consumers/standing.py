"""The best samples that this worker has seen, and so which hits cannot matter any more.

A hit is sent unless k other samples beat it in the full order of score and sample key; equals pass,
and whether it was sent before is never asked. Every hit of the final tables is therefore sent,
whichever copy of its batch is counted.
"""

from typing import Protocol

import numpy as np

from consumers.compiled import compiled
from streams.arrays import F32, I32, U32, U64, AnyArray, Bool


class Ranked(Protocol):
    """Hits, as far as their rank goes; n of each."""

    @property
    def table(self) -> U32:
        """Which table each is for."""

    @property
    def score(self) -> F32:
        """Activity under the table's criterion."""

    @property
    def sample_high(self) -> U64:
        """The upper half of the sample key."""

    @property
    def sample_low(self) -> U64:
        """The lower half of the sample key."""


class Standing:
    """The k best samples per table, in slots that better ones take over; changed in place.

    held [table]: slots in use. last [table]: the slot of the worst sample of a full table, -1 while
    there is room. inserts: how often a slot was taken so far.
    """

    def __init__(self, tables: int, k: int) -> None:
        self.k = k
        self.inserts = 0
        self.held = np.zeros(tables, np.int32)
        self.last = np.full(tables, -1, np.int32)
        # Memory is taken as slots are, not here.
        self._score = np.empty((tables, k), np.float32)
        self._high = np.empty((tables, k), np.uint64)
        self._low = np.empty((tables, k), np.uint64)

    def see(self, hits: Ranked) -> I32:
        """Take the hits of a validated batch into account; return what became of each.

        The slot that it took; -2 minus the slot where its sample stands with the same score
        already; -1 if it is beaten. A later hit of the batch may take the same slot again.
        """
        slots = np.empty(len(hits.table), np.int32)
        self.inserts += _insert(
            *_columns(hits), self.held, self.last, self._score, self._high, self._low, slots
        )
        return slots

    def unbeaten(self, hits: Ranked) -> Bool:
        """Return which hits fewer than k known samples beat."""
        passes = np.empty(len(hits.table), np.bool_)
        _compare(*_columns(hits), self.last, self._score, self._high, self._low, passes)
        return passes

    def slots(self, table: int) -> tuple[F32, U64, U64]:
        """Return score and both halves of the sample key of a table's slots in use."""
        used = slice(0, int(self.held[table]))
        return self._score[table, used], self._high[table, used], self._low[table, used]

    def ranks(self, table: int) -> list[tuple[float, int, int]]:
        """Return score and sample key of a table's samples, best first."""
        found = zip(*(column.tolist() for column in self.slots(table)), strict=True)
        return sorted(found, key=lambda rank: (-rank[0], *rank[1:]))


def _columns(hits: Ranked) -> tuple[U32, F32, U64, U64]:
    return hits.table, hits.score, hits.sample_high, hits.sample_low


@compiled
def _beats(
    score: np.float32,
    high: np.uint64,
    low: np.uint64,
    other: np.float32,
    other_high: np.uint64,
    other_low: np.uint64,
) -> bool:
    if score != other:
        return bool(score > other)
    return bool(high < other_high or (high == other_high and low < other_low))


@compiled
def _insert(
    table: U32,
    score: F32,
    high: U64,
    low: U64,
    held: I32,
    last: I32,
    scores: AnyArray,
    highs: AnyArray,
    lows: AnyArray,
    slots: AnyArray,
) -> int:
    k = scores.shape[1]
    inserts = 0
    for i in range(len(table)):
        at, worst = table[i], last[table[i]]
        slots[i] = -1
        if worst >= 0 and _beats(
            scores[at, worst], highs[at, worst], lows[at, worst], score[i], high[i], low[i]
        ):
            continue
        slot = worst if worst >= 0 else held[at]
        for known in range(held[at]):
            if lows[at, known] == low[i] and highs[at, known] == high[i]:
                slot = known
                break
        if slot == held[at]:
            held[at] += 1
        elif (
            highs[at, slot] == high[i] and lows[at, slot] == low[i] and scores[at, slot] >= score[i]
        ):
            if scores[at, slot] == score[i]:
                slots[i] = -2 - slot
            continue
        scores[at, slot], highs[at, slot], lows[at, slot] = score[i], high[i], low[i]
        slots[i] = slot
        inserts += 1
        if held[at] == k:
            worst = 0
            for other in range(1, k):
                if _beats(
                    scores[at, worst],
                    highs[at, worst],
                    lows[at, worst],
                    scores[at, other],
                    highs[at, other],
                    lows[at, other],
                ):
                    worst = other
            last[at] = worst
    return inserts


@compiled
def _compare(
    table: U32,
    score: F32,
    high: U64,
    low: U64,
    last: I32,
    scores: F32,
    highs: U64,
    lows: U64,
    passes: AnyArray,
) -> None:
    for i in range(len(table)):
        at, worst = table[i], last[table[i]]
        passes[i] = worst < 0 or not _beats(
            scores[at, worst], highs[at, worst], lows[at, worst], score[i], high[i], low[i]
        )
