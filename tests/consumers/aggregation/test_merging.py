from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.merging import _holds, last_of, merged, unbeaten
from streams.records.hits import best, join, no_hits, take
from tests.streams.same import bits
from tests.streams.strategies import columns, k_of, plain_hits, quick

ks = st.integers(1, 4) | st.lists(st.integers(1, 4), min_size=2, max_size=2).map(np.array)


@quick
@given(st.lists(plain_hits.map(columns), max_size=4), ks)
def test_merging_one_part_after_the_other_is_sorting_all(parts, k):
    tables = no_hits()
    for part in parts:
        expected = best(join([tables, part]), k)
        tables = merged(tables, part, k)
        assert bits(tables) == bits(expected)
    assert bits(tables) == bits(best(join([no_hits(), *parts]), k))


def test_large_tables_with_many_ties_are_the_slow_ones():
    random = np.random.default_rng(0)
    for _ in range(20):
        hits = [
            (
                int(random.integers(20)), float(random.integers(5)) / 4, 0,
                int(random.integers(30)), *random.integers(0, 3, 4).tolist(),
                tuple((0, int(p), 1.0) for p in range(random.integers(3))),
            )
            for _ in range(1500)
        ]  # fmt: skip
        old, new = best(columns(hits[:1000]), 7), columns(hits[1000:])
        assert bits(merged(old, new, 7)) == bits(best(join([old, new]), 7))


@quick
@given(plain_hits.map(columns), plain_hits.map(columns), ks)
def test_hits_beaten_by_the_last_of_their_table_change_nothing(first, second, k):
    tables = best(first, k)
    which = np.flatnonzero(unbeaten(last_of(tables, 4, k), second))
    passing = take(second, which)
    assert bits(best(join([tables, passing]), k)) == bits(best(join([tables, second]), k))


@quick
@given(plain_hits.map(columns), ks)
def test_the_last_of_a_table_is_its_kth_and_none_of_one_that_is_not_full(hits, k):
    tables = best(hits, k)
    last = last_of(tables, 5, k)
    for table in range(5):
        own = np.flatnonzero(tables.table == table)
        if len(own) < k_of(k, table):
            assert last.score[table] == -np.inf
        else:
            found = last.score[table], last.high[table], last.low[table]
            at = own[k_of(k, table) - 1]
            assert found == (tables.score[at], tables.sample_high[at], tables.sample_low[at])


def test_some_hits_are_beaten():
    hits = columns([(0, float(n), 0, n, 0, 0, 0, n, ()) for n in range(5)])
    last = last_of(best(hits, 2), 1, 2)
    assert unbeaten(last, hits).tolist() == [False, False, False, True, True]


def test_numbers_beyond_the_hits_are_no_hits_of_a_sample():
    """Compiled code would read whatever lies behind the columns; plain Python says so."""
    column = np.array([7, 8, 9], np.uint64)
    plainly: Any = vars(_holds)["py_func"]
    for at, found in (([0], True), ([2], False), ([3], False), ([4, 0], True), ([], False)):
        assert plainly(column, column, np.array(at, np.int64), 7, 7) == found
    assert not plainly(column, column, np.array([1]), 7, 8)
    assert not plainly(column, column, np.array([1]), 8, 7)
