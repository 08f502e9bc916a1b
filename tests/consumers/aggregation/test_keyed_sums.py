from collections import Counter
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.keyed_sums import with_keyed, with_names
from consumers.statistics.keys import OTHER, key_of
from consumers.statistics.layout import KeyedPlace
from consumers.statistics.sketch import cells_of, estimates, first_cell
from streams.errors import OverflowingSumError
from streams.records.tallies import KeyedSums, KeyNames
from tests.streams.same import bits
from tests.streams.strategies import quick

PLACES = (
    KeyedPlace("s.k", "cluster", 3, 2, False, maxima=1),
    KeyedPlace("s.n", "run", 1, 3, True),
)
SKETCHED = (KeyedPlace("s.s", "cluster", 3, 2, False, sketch=3, maxima=1),)
ADDED: tuple[Any, ...] = (int.__add__, int.__add__, max)
"""How the columns of the first accumulator are added up: the last is a maximum."""

added = st.lists(
    st.dictionaries(
        st.tuples(st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    ),
    max_size=6,
)


def sums(entries):
    """Return {(cluster, key): sums} as keyed sums."""
    items = sorted(entries.items())
    return KeyedSums(
        0,
        np.array([cluster for (cluster, _), _ in items], np.uint32),
        np.array([key for (_, key), _ in items], np.uint64),
        np.array([value for _, values in items for value in values], np.int64),
    )


def held_after(batches, places=PLACES):
    held: tuple[KeyedSums, ...] = ()
    for batch in batches:
        held = with_keyed(places, held, (sums(batch),) if batch else ())
    return held


@quick
@given(added)
def test_smallest_keys_are_kept_exactly_and_the_rest_is_one_entry(batches):
    keys, expected = {}, Counter()
    for batch in batches:
        for cluster, key in batch:
            keys.setdefault(cluster, set()).add(key)
    for batch in batches:
        for (cluster, key), values in batch.items():
            shown = key if key in sorted(keys[cluster])[:2] else int(OTHER)
            for column, value in enumerate(values):
                before = expected[(cluster, shown, column)]
                expected[(cluster, shown, column)] = ADDED[column](before, value)
    found = {}
    for part in held_after(batches):
        part.check(3, 3)
        for at, (c, key) in enumerate(zip(part.cluster.tolist(), part.key.tolist(), strict=True)):
            for column in range(3):
                found[(c, key, column)] = int(part.value[3 * at + column])
    assert found == dict(expected)


@quick
@given(added, st.randoms())
def test_the_order_of_batches_does_not_matter(batches, random):
    shuffled = random.sample(batches, len(batches))
    assert bits(held_after(shuffled)) == bits(held_after(batches))


@quick
@given(added, st.randoms())
def test_past_the_budget_all_keys_are_in_a_sketch_in_any_order(batches, random):
    (held,) = held_after(batches, SKETCHED) or (sums({}),)
    assert bits(held_after(random.sample(batches, len(batches)), SKETCHED)) == bits(
        held_after(batches, SKETCHED)
    )
    held.check(3, 3)
    for cluster in range(3):
        total = Counter()
        for batch in batches:
            for (c, key), values in batch.items():
                if c == cluster:
                    for column, value in enumerate(values):
                        total[(key, column)] = ADDED[column](total[(key, column)], value)
        keys = sorted({key for key, _ in total})
        here = np.flatnonzero(held.cluster == cluster)
        found_keys, values = held.key[here], held.value.reshape(-1, 3)[here]
        if len(keys) <= 2:
            assert found_keys.tolist() == keys
            assert values.tolist() == [[total[(key, n)] for n in range(3)] for key in keys]
            continue
        first = np.uint64(first_cell(3))
        assert (found_keys >= first).all()
        cells = (found_keys - first).astype(np.int64)
        of_keys = cells_of(np.array(keys, np.uint64), 3)
        for column, add in enumerate(ADDED):
            said = estimates(cells, values, column, of_keys).tolist()
            exact = [total[(key, column)] for key in keys]
            assert all(more >= least for more, least in zip(said, exact, strict=True))
            assert column == 2 or values[cells < 3, column].sum() == sum(exact)
            slow = [
                min(
                    reduce(add, (n for n, o in zip(exact, of_keys.tolist(), strict=True) if c in o))
                    for c in of_key
                )
                for of_key in of_keys.tolist()
            ]
            assert said == slow


def test_what_is_held_is_never_changed_in_place():
    held = held_after([{(0, 1): (1, 1, 1), (0, 9): (2, 2, 2)}])
    before = bits(held)
    with_keyed(PLACES, held, (sums({(0, 0): (5, 5, 5), (1, 1): (1, 1, 1)}),))
    assert bits(held) == before


def test_a_sum_beyond_64_bits_is_an_error():
    large = {(0, 1): (2**62, 0, 0)}
    with pytest.raises(OverflowingSumError, match=r"exceeds 2\*\*63"):
        held_after([large, large])


@quick
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), max_size=5), st.randoms())
def test_names_of_the_smallest_keys_are_held_in_any_order(batches, random):
    def after(given_ones):
        held: tuple[KeyNames, ...] = ()
        for texts in given_ones:
            held = with_names(PLACES, held, (KeyNames(1, tuple(texts)),))
        return {text for part in held for text in part.texts}

    smallest = sorted({text for texts in batches for text in texts}, key=key_of)[:3]
    assert after(batches) == set(smallest)
    assert after(random.sample(batches, len(batches))) == set(smallest)


def test_no_text_has_the_key_of_the_others():
    assert key_of("") < int(OTHER)
