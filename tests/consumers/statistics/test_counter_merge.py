"""Merged counters against a stable sort."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.statistics.counter_merge import merge_counters
from tests.streams.strategies import quick

addresses = st.lists(st.integers(0, 30), max_size=12).map(sorted)


@quick
@given(st.lists(addresses, max_size=4))
def test_parts_are_merged_as_a_stable_sort_does(parts):
    made, number = [], 0
    for part in parts:
        made.append((np.array(part, np.int64), np.arange(number, number + len(part))))
        number += len(part)
    at, count = merge_counters(made)
    expected = sorted(pair for one in made for pair in zip(*(c.tolist() for c in one), strict=True))
    assert list(zip(at.tolist(), count.tolist(), strict=True)) == expected
