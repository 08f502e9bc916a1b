"""Keyed sums of a bucket with a batch added: the smallest keys are kept, the rest is one entry."""

from collections.abc import Sequence

import numpy as np

from consumers.compiled import compiled
from consumers.statistics.keys import OTHER, key_of
from consumers.statistics.layout import KeyedPlace
from consumers.statistics.sketch import DEPTH, cells_of, first_cell
from streams.arrays import I64, U32, U64, AnyArray
from streams.errors import OverflowingSumError
from streams.records.tallies import KeyedSums, KeyNames


def with_keyed(
    places: Sequence[KeyedPlace], held: tuple[KeyedSums, ...], news: tuple[KeyedSums, ...]
) -> tuple[KeyedSums, ...]:
    """Return a bucket's keyed sums, by rising number, with those of a batch that fits it.

    Raises OverflowingSumError where 64 bits no longer hold a sum.
    """
    if not news:
        return held
    of = {each.number: each for each in held}
    for each in news:
        before = of.get(each.number) or _nothing(each.number)
        of[each.number] = _merged(places[each.number], before, each)
    return tuple(of[number] for number in sorted(of))


def with_names(
    places: Sequence[KeyedPlace], held: tuple[KeyNames, ...], news: tuple[KeyNames, ...]
) -> tuple[KeyNames, ...]:
    """Return the texts of the smallest keys among those held and those of a batch."""
    of = {each.number: each for each in held}
    for each in news:
        before = of[each.number].texts if each.number in of else ()
        if fresh := set(each.texts).difference(before):
            texts = sorted({*before, *fresh}, key=lambda text: (key_of(text), text))
            of[each.number] = KeyNames(each.number, tuple(texts[: places[each.number].budget]))
    return tuple(of[number] for number in sorted(of))


def _nothing(number: int) -> KeyedSums:
    return KeyedSums(number, np.zeros(0, np.uint32), np.zeros(0, np.uint64), np.zeros(0, np.int64))


def _merged(place: KeyedPlace, held: KeyedSums, news: KeyedSums) -> KeyedSums:
    if place.sketch:
        return _sketched(place, held, news)
    most = len(held.key) + len(news.key)
    cluster, key = np.empty(most, np.uint32), np.empty(most, np.uint64)
    value = np.zeros((most, place.columns), np.int64)
    entries = _merge(
        held.cluster,
        held.key,
        held.value.reshape(-1, place.columns),
        news.cluster,
        news.key,
        news.value.reshape(-1, place.columns),
        place.columns - place.maxima,
        place.budget,
        OTHER,
        cluster,
        key,
        value,
    )
    return _first(entries, news.number, cluster, key, value)


def _first(entries: int, number: int, cluster: U32, key: U64, value: I64) -> KeyedSums:
    """Return the first entries; raises OverflowingSumError if a sum was too large."""
    if entries < 0:
        raise OverflowingSumError("a keyed sum exceeds 2**63: start a new run with less text")
    flat = value[:entries].reshape(-1).copy()
    return KeyedSums(number, cluster[:entries].copy(), key[:entries].copy(), flat)


def _sketched(place: KeyedPlace, held: KeyedSums, news: KeyedSums) -> KeyedSums:
    first = first_cell(place.sketch)
    keys = np.concatenate([held.key, news.key])
    raw = keys < np.uint64(first)
    cells = np.empty((len(keys), DEPTH), np.int64)
    cells[raw] = cells_of(keys[raw], place.sketch)
    cells[~raw] = (keys[~raw] - np.uint64(first)).astype(np.int64)[:, None]
    most = DEPTH * len(keys)
    cluster, key = np.empty(most, np.uint32), np.empty(most, np.uint64)
    value = np.zeros((most, place.columns), np.int64)
    entries = _merge_sketched(
        np.concatenate([held.cluster, news.cluster]),
        keys,
        np.concatenate([held.value, news.value]).reshape(-1, place.columns),
        np.lexsort((keys, np.concatenate([held.cluster, news.cluster]))),
        cells,
        raw,
        place.columns - place.maxima,
        place.budget,
        np.uint64(first),
        np.zeros((DEPTH * place.sketch, place.columns), np.int64),
        cluster,
        key,
        value,
    )
    return _first(entries, news.number, cluster, key, value)


@compiled
def _add(value: I64, added: int, to: AnyArray) -> bool:
    """Add the sums and keep the larger maxima; return whether 64 bits hold all sums."""
    fits = True
    for column in range(len(to)):
        if column < added:
            to[column] += value[column]
            fits = fits and to[column] >= 0
        else:
            to[column] = max(to[column], value[column])
    return fits


@compiled
def _merge_sketched(
    cluster: U32,
    key: U64,
    value: I64,
    order: I64,
    cells: I64,
    raw: AnyArray,
    added: int,
    budget: int,
    first: np.uint64,
    sums: AnyArray,
    to_cluster: AnyArray,
    to_key: AnyArray,
    to_value: AnyArray,
) -> int:
    """Add entries up, in order of cluster and key, by key or, past the budget, by cell.

    added: how many columns are sums; of the others the largest is kept.
    """
    n, begin, fits = 0, 0, True
    while begin < len(order):
        end, distinct, exact = begin, 0, True
        while end < len(order) and cluster[order[end]] == cluster[order[begin]]:
            distinct += end == begin or key[order[end]] != key[order[end - 1]]
            exact = exact and raw[order[end]]
            end += 1
        if exact and distinct <= budget:
            for at in range(begin, end):
                if at == begin or key[order[at]] != key[order[at - 1]]:
                    to_cluster[n], to_key[n] = cluster[order[at]], key[order[at]]
                    n += 1
                fits = _add(value[order[at]], added, to_value[n - 1]) and fits
        else:
            for at in range(begin, end):
                rows = cells.shape[1] if raw[order[at]] else 1
                for row in range(rows):
                    fits = _add(value[order[at]], added, sums[cells[order[at], row]]) and fits
            for cell in range(len(sums)):
                if sums[cell].any():
                    to_cluster[n] = cluster[order[begin]]
                    to_key[n] = first + np.uint64(cell)
                    for column in range(value.shape[1]):
                        to_value[n, column] = sums[cell, column]
                        sums[cell, column] = 0
                    n += 1
        begin = end
    return n if fits else -1


@compiled
def _merge(
    cluster: U32,
    key: U64,
    value: I64,
    other_cluster: U32,
    other_key: U64,
    other_value: I64,
    added: int,
    budget: int,
    rest: np.uint64,
    to_cluster: AnyArray,
    to_key: AnyArray,
    to_value: AnyArray,
) -> int:
    """Merge two sorted lists; return how many entries there are, -1 where a sum is too large."""
    i, j, n, kept = 0, 0, 0, 0
    fits = True
    while i < len(key) or j < len(other_key):
        if j == len(other_key):
            from_first = True
        elif i == len(key):
            from_first = False
        elif cluster[i] != other_cluster[j]:
            from_first = cluster[i] < other_cluster[j]
        else:
            from_first = key[i] <= other_key[j]
        at_cluster = cluster[i] if from_first else other_cluster[j]
        at_key = key[i] if from_first else other_key[j]
        new_cluster = n == 0 or to_cluster[n - 1] != at_cluster
        if new_cluster:
            kept = 0
        if new_cluster or to_key[n - 1] != at_key:
            if kept == budget:
                at_key = rest
            if new_cluster or to_key[n - 1] != at_key:
                to_cluster[n], to_key[n] = at_cluster, at_key
                n += 1
                kept += at_key != rest
        if from_first:
            fits = _add(value[i], added, to_value[n - 1]) and fits
            i += 1
        else:
            fits = _add(other_value[j], added, to_value[n - 1]) and fits
            j += 1
    return n if fits else -1
