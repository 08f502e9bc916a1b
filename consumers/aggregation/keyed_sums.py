"""Keyed sums of a bucket with a batch added: the smallest keys are kept, the rest is one entry."""

from collections.abc import Sequence

import numpy as np

from consumers.compiled import compiled
from consumers.statistics.keys import OTHER, key_of
from consumers.statistics.layout import KeyedPlace
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
        place.budget,
        OTHER,
        cluster,
        key,
        value,
    )
    if entries < 0:
        raise OverflowingSumError("a keyed sum exceeds 2**63: start a new run with less text")
    return KeyedSums(
        news.number,
        cluster[:entries].copy(),
        key[:entries].copy(),
        value[:entries].reshape(-1).copy(),
    )


@compiled
def _merge(
    cluster: U32,
    key: U64,
    value: I64,
    other_cluster: U32,
    other_key: U64,
    other_value: I64,
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
        for column in range(value.shape[1]):
            more = value[i, column] if from_first else other_value[j, column]
            to_value[n - 1, column] += more
            fits = fits and to_value[n - 1, column] >= 0
        if from_first:
            i += 1
        else:
            j += 1
    return n if fits else -1
