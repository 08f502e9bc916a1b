"""Local top-k filter: the best samples that this worker has seen, and so which hits still matter.

A hit is sent unless k other samples beat it in the full order of score and sample key; equals pass,
and whether it was sent before is never asked. Every hit of the final tables is therefore sent,
whichever copy of its batch is counted.
"""

from typing import Protocol

import numpy as np

from consumers.compiled import compiled
from streams.arrays import F32, I32, I64, U16, U32, U64, AnyArray, Bool
from streams.records.hits import most_of

_ALL_BUT_SIGN = np.int32(0x7FFFFFFF)
_TAG = np.uint64(0xFFFF)


class Ranked(Protocol):
    """Hits, as far as their rank goes; n of each."""

    @property
    def table(self) -> U32:
        """Which table each is for."""

    @property
    def score(self) -> F32:
        """What the table's ranking orders by."""

    @property
    def sample_high(self) -> U64:
        """The upper half of the sample key."""

    @property
    def sample_low(self) -> U64:
        """The lower half of the sample key."""


class TopKFilter:
    """The k best samples per table, in slots that better ones take over; changed in place.

    held [table]: slots in use. last [table]: the slot of the worst sample of a full table, -1 while
    there is room. least [table]: the score there, minus infinity while there is room; what scores
    less is beaten. inserts: how often a slot was taken so far. Slots are numbered within a table.
    """

    def __init__(self, tables: int, k: int | I64) -> None:
        """Begin with free slots. k: as in ``streams.records.hits.best``."""
        self.inserts = 0
        self._first = np.r_[0, np.cumsum(most_of(k, np.arange(tables)))]
        self.held = np.zeros(tables, np.int32)
        self.last = np.full(tables, -1, np.int32)
        self.least = np.full(tables, -np.inf, np.float32)
        # Memory is taken as slots are, not here.
        slots = int(self._first[-1])
        self._order = np.empty(slots, np.int32)
        self._high = np.empty(slots, np.uint64)
        self._low = np.empty(slots, np.uint64)
        # The last 16 bits of the keys: looking for a sample reads a quarter of the memory.
        self._tag = np.empty(slots, np.uint16)

    def see(self, hits: Ranked) -> I32:
        """Take the hits of a validated batch into account and return the slot that each took.

        It is -1 for one that took none, and -2 - slot for one whose sample stands there already
        with the same score. A later hit may have taken the same slot again.
        """
        slots = np.empty(len(hits.table), np.int32)
        self.inserts += _insert(
            *_columns(hits),
            self._first,
            self.held,
            self.last,
            self._order,
            self._high,
            self._low,
            self._tag,
            slots,
        )
        table = hits.table[slots >= 0]
        table = table[self.last[table] >= 0]
        self.least[table] = _scores(self._order[self._first[table] + self.last[table]])
        return slots

    def unbeaten(self, hits: Ranked) -> Bool:
        """Return which hits fewer than k known samples beat."""
        passes = np.empty(len(hits.table), np.bool_)
        _compare(
            *_columns(hits), self._first, self.last, self._order, self._high, self._low, passes
        )
        return passes

    def slots(self, table: int) -> tuple[F32, U64, U64]:
        """Return score and sample key, high and low, of the slots in use of a table."""
        first = int(self._first[table])
        used = slice(first, first + int(self.held[table]))
        return _scores(self._order[used]), self._high[used], self._low[used]


def _columns(hits: Ranked) -> tuple[U32, I32, U64, U64]:
    """Return the columns of hits, scores as integers of the same order: these compare faster."""
    bits = (hits.score + np.float32(0)).view(np.int32)  # no minus zero
    order = np.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits)
    return hits.table, order, hits.sample_high, hits.sample_low


def _scores(order: I32) -> F32:
    """Return the scores that integers of the same order stand for."""
    return np.where(order < 0, order ^ _ALL_BUT_SIGN, order).view(np.float32)


@compiled
def _beats(
    order: np.int32,
    high: np.uint64,
    low: np.uint64,
    other: np.int32,
    other_high: np.uint64,
    other_low: np.uint64,
) -> bool:
    if order != other:
        return bool(order > other)
    return bool(high < other_high or (high == other_high and low < other_low))


@compiled
def _insert(
    table: U32,
    order: I32,
    high: U64,
    low: U64,
    first: I64,
    held: I32,
    last: I32,
    orders: I32,
    highs: U64,
    lows: U64,
    tags: U16,
    slots: I32,
) -> int:
    inserts = 0
    for i in range(len(table)):
        at, worst = table[i], last[table[i]]
        begin = first[at]
        slots[i] = -1
        if worst >= 0 and _beats(
            orders[begin + worst],
            highs[begin + worst],
            lows[begin + worst],
            order[i],
            high[i],
            low[i],
        ):
            continue
        slot = worst if worst >= 0 else held[at]
        known, used = -1, begin + held[at]
        if _is_among(np.uint16(low[i] & _TAG), tags[begin:used]):
            known = _slot_of(highs[begin:used], lows[begin:used], high[i], low[i])
        if known >= 0:
            if orders[begin + known] >= order[i]:
                if orders[begin + known] == order[i]:
                    slots[i] = -2 - known
                continue
            slot = known
        elif slot == held[at]:
            held[at] += 1
        taken = begin + slot
        orders[taken], highs[taken], lows[taken] = order[i], high[i], low[i]
        tags[taken] = low[i] & _TAG
        slots[i] = slot
        inserts += 1
        end = first[at + 1]
        if held[at] == end - begin:
            last[at] = _worst(orders[begin:end], highs[begin:end], lows[begin:end])
    return inserts


@compiled
def _is_among(tag: np.uint16, tags: U16) -> bool:
    there = False
    for slot in range(len(tags)):  # without a way out: several at a time
        there |= tags[slot] == tag
    return there


@compiled
def _slot_of(highs: U64, lows: U64, high: np.uint64, low: np.uint64) -> int:
    """Return the slot that a sample has, -1 if it has none."""
    for slot in range(len(lows)):
        if lows[slot] == low and highs[slot] == high:
            return slot
    return -1


@compiled
def _worst(orders: I32, highs: U64, lows: U64) -> int:
    """Return the slot of the last sample in the order of hits."""
    lowest = orders[0]
    for slot in range(1, len(orders)):
        lowest = min(lowest, orders[slot])
    equals, worst = np.int32(0), np.int32(0)
    for slot in range(len(orders)):  # again several at a time: nearly always there is one
        equal = orders[slot] == lowest
        equals += np.int32(equal)
        worst = max(worst, np.int32(slot) if equal else np.int32(0))
    if equals == 1:
        return int(worst)
    for slot in range(len(orders)):
        if orders[slot] == lowest and _beats(
            lowest, highs[worst], lows[worst], lowest, highs[slot], lows[slot]
        ):
            worst = np.int32(slot)
    return int(worst)


@compiled
def _compare(
    table: U32,
    order: I32,
    high: U64,
    low: U64,
    first: I64,
    last: I32,
    orders: I32,
    highs: U64,
    lows: U64,
    passes: AnyArray,
) -> None:
    for i in range(len(table)):
        worst = last[table[i]]
        slot = first[table[i]] + worst
        passes[i] = worst < 0 or not _beats(
            orders[slot], highs[slot], lows[slot], order[i], high[i], low[i]
        )
