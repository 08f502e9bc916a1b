"""Top-k tables kept sorted: new hits are merged in, instead of sorting all of them again.

``streams.records.hits.best`` says what comes of it; the loops here only reach the same faster.
"""

from dataclasses import dataclass

import numpy as np

from consumers.compiled import compiled
from streams.arrays import F32, I32, I64, U64, AnyArray, Bool
from streams.records.hits import ENTRIES, HEAD, Hits, rank


def merged(tables: Hits, news: Hits, k: int | I64) -> Hits:
    """Return ``best(join([tables, news]), k)``; ``tables`` is such a result for the same k."""
    if not len(news):
        return tables
    which = np.empty(len(tables) + len(news), np.int64)
    ks = np.atleast_1d(np.asarray(k, np.int64))
    kept = _merge(_order(tables), _order(news), rank(news), ks, which)
    return _gathered(tables, news, which[:kept])


def _gathered(tables: Hits, news: Hits, which: I64) -> Hits:
    """Return ``take(join([tables, news]), which)`` without joining them first."""
    columns = {name: _picked(tables, news, name, which) for name in HEAD}
    olds, starts = (np.cumsum(each.rows, dtype=np.int64) - each.rows for each in (tables, news))
    rows = columns["rows"]
    total = int(rows.sum(dtype=np.int64))
    old, new = (tuple(_bits(getattr(each, name)) for name in ENTRIES) for each in (tables, news))
    out = tuple(np.empty(total, np.int32) for _ in ENTRIES)
    _pick_entries(old, new, olds, starts, which, rows, out)
    for name, bits in zip(ENTRIES, out, strict=True):
        columns[name] = bits.view(getattr(tables, name).dtype)
    return Hits(**columns)


def _picked(tables: Hits, news: Hits, name: str, which: I64) -> AnyArray:
    old, new = getattr(tables, name), getattr(news, name)
    out = np.empty(len(which), old.dtype)
    _pick(_bits(old), _bits(new), which, _bits(out))
    return out


def _bits(column: AnyArray) -> AnyArray:
    """Return a column as integers of its width, so that loops are compiled for two types only."""
    return _plain(column).view(np.int64 if column.itemsize == 8 else np.int32)


def _plain(column: AnyArray) -> AnyArray:
    """Return a column as loops are compiled for it: contiguous, and such as may be written to."""
    return np.require(column, requirements=["C", "W"])


@compiled
def _pick(old: AnyArray, new: AnyArray, which: I64, out: AnyArray) -> None:
    for i in range(len(which)):
        at = which[i]
        out[i] = old[at] if at < len(old) else new[at - len(old)]


@compiled
def _pick_entries(
    old: tuple[AnyArray, ...],
    new: tuple[AnyArray, ...],
    old_starts: I64,
    new_starts: I64,
    which: I64,
    rows: I32,
    out: tuple[AnyArray, ...],
) -> None:
    to, i, olds = 0, 0, len(old_starts)
    while i < len(which):
        # Hits that lie one behind the other are copied together, as most old ones are.
        last, size = i, int(rows[i])
        while last + 1 < len(which) and which[last + 1] == which[last] + 1 != olds:
            last += 1
            size += int(rows[last])
        begin = old_starts[which[i]] if which[i] < olds else new_starts[which[i] - olds]
        side = old if which[i] < olds else new
        for entry in range(size):
            out[0][to + entry] = side[0][begin + entry]
            out[1][to + entry] = side[1][begin + entry]
            out[2][to + entry] = side[2][begin + entry]
        to += size
        i = last + 1


def _order(hits: Hits) -> tuple[AnyArray, ...]:
    """Return the columns that decide between hits, the most important one first."""
    columns = (
        hits.table,
        hits.score,
        hits.sample_high,
        hits.sample_low,
        hits.peak,
        hits.partition,
        hits.sequence,
        hits.row,
    )
    return tuple(_plain(column) for column in columns)


@compiled
def _is_before(a: tuple[AnyArray, ...], i: int, b: tuple[AnyArray, ...], j: int) -> bool:
    """Return whether hit i of ``a`` stands before hit j of ``b``, both of one table; equals keep
    their order."""
    if a[1][i] != b[1][j]:
        return bool(a[1][i] > b[1][j])
    if a[2][i] != b[2][j]:
        return bool(a[2][i] < b[2][j])
    if a[3][i] != b[3][j]:
        return bool(a[3][i] < b[3][j])
    if a[4][i] != b[4][j]:
        return bool(a[4][i] < b[4][j])
    if a[5][i] != b[5][j]:
        return bool(a[5][i] < b[5][j])
    if a[6][i] != b[6][j]:
        return bool(a[6][i] < b[6][j])
    return bool(a[7][i] <= b[7][j])


@compiled
def _is_among(low: np.uint64, lows: U64) -> bool:
    there = False
    for at in range(len(lows)):  # without a way out: several at a time
        there |= lows[at] == low
    return there


@compiled
def _holds(highs: U64, lows: U64, at: I64, high: int, low: int) -> bool:
    """Return whether one of the hits at ``at`` is of a sample; numbers beyond the hits are none."""
    there = False
    for here in at:
        there |= here < len(lows) and lows[here] == low and highs[here] == high
    return there


@compiled
def _merge(
    old: tuple[AnyArray, ...], new: tuple[AnyArray, ...], order: I64, ks: I64, which: I64
) -> int:
    """Write which hits stay into ``which``, numbered through old and new; return how many.

    order: what sorts the new ones; the old ones are sorted. Old hits of a table are of different
    samples, so they are compared with new ones only.
    """
    olds, news = len(old[0]), len(order)
    old_high, old_low, new_high, new_low = old[2], old[3], new[2], new[3]
    fresh = np.empty(ks.max(), np.int64)  # the new ones that stay in the table at hand
    # The lower halves of their keys, and of all that stay: these say nearly always that a sample is
    # not there, and lie side by side.
    fresh_lows, lows = np.empty(ks.max(), np.uint64), np.empty(ks.max(), np.uint64)
    i = j = kept = 0
    while j < news:
        table = new[0][order[j]]
        k = ks[table % len(ks)]
        while i < olds and old[0][i] < table:
            which[kept] = i
            kept += 1
            i += 1
        first, found = kept, 0
        while kept - first < k:
            has_old = i < olds and old[0][i] == table
            has_new = j < news and new[0][order[j]] == table
            if not (has_old or has_new):
                break
            if has_old and (not has_new or _is_before(old, i, new, order[j])):
                high, low = old_high[i], old_low[i]
                if not (
                    _is_among(low, fresh_lows[:found])
                    and _holds(new_high, new_low, fresh[:found], high, low)
                ):
                    lows[kept - first] = low
                    which[kept] = i
                    kept += 1
                i += 1
                continue
            at = order[j]
            high, low = new_high[at], new_low[at]
            if not (
                _is_among(low, lows[: kept - first])
                and (
                    _holds(new_high, new_low, fresh[:found], high, low)
                    or _holds(old_high, old_low, which[first:kept], high, low)
                )
            ):
                lows[kept - first] = fresh_lows[found] = low
                which[kept] = olds + at
                fresh[found] = at
                kept += 1
                found += 1
            j += 1
        while i < olds and old[0][i] == table:
            i += 1
        while j < news and new[0][order[j]] == table:
            j += 1
    while i < olds:
        which[kept] = i
        kept += 1
        i += 1
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Last:
    """The k-th best sample of each table; score minus infinity while a table is not full."""

    score: F32
    high: U64
    low: U64


def last_of(tables: Hits, count: int, k: int | I64) -> Last:
    """Return the k-th best of ``count`` sorted tables, the result of ``merged``."""
    zeros = np.zeros(count, np.uint64)
    last = Last(np.full(count, -np.inf, np.float32), zeros, zeros.copy())
    columns = tables.table, tables.score, tables.sample_high, tables.sample_low
    _last(columns, np.atleast_1d(np.asarray(k, np.int64)), (last.score, last.high, last.low))
    return last


@compiled
def _last(hits: tuple[AnyArray, ...], ks: I64, to: tuple[AnyArray, ...]) -> None:
    i, end = 0, len(hits[0])
    while i < end:
        table = hits[0][i]
        last = i + ks[table % len(ks)] - 1
        if last < end and hits[0][last] == table:
            to[0][table], to[1][table], to[2][table] = hits[1][last], hits[2][last], hits[3][last]
            i = last + 1
        while i < end and hits[0][i] == table:
            i += 1


def unbeaten(last: Last, hits: Hits) -> Bool:
    """Return which hits the k-th best of their table does not beat; it does not beat itself."""
    score, high, low = (column[hits.table] for column in (last.score, last.high, last.low))
    earlier = (hits.sample_high < high) | ((hits.sample_high == high) & (hits.sample_low <= low))
    passes: Bool = (hits.score > score) | ((hits.score == score) & earlier)
    return passes
