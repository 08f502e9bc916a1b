import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.bucket_sums import with_tally
from streams.arrays import F32, I64
from streams.errors import OverflowingSumError
from streams.records.tallies import BucketTally


def slow_with_tally(counts, sums, low, high, tally):
    counts, sums, low, high = (column.tolist() for column in (counts, sums, low, high))
    for at, more in zip(tally.count_at.tolist(), tally.count.tolist(), strict=True):
        counts[at] += more
    columns = (tally.sum_at, tally.sum, tally.low, tally.high)
    for at, more, least, most in zip(*(c.tolist() for c in columns), strict=True):
        sums[at] += more
        low[at], high[at] = min(low[at], least), max(high[at], most)
    return counts, sums, low, high


def drawn(random, counters=50, clusters=9):
    count_at = np.flatnonzero(random.random(counters) < 0.4).astype(np.uint32)
    sum_at = np.flatnonzero(random.random(clusters) < 0.5).astype(np.uint32)
    values = random.random((2, len(sum_at))).astype(np.float32)
    return BucketTally(
        0,
        count_at,
        random.integers(0, 2**40, len(count_at)),
        sum_at,
        random.integers(0, 2**50, len(sum_at)),
        values.min(axis=0),
        values.max(axis=0),
    )


def nothing(counters=50, clusters=9) -> tuple[I64, I64, F32, F32]:
    infinite = np.full(clusters, np.inf, np.float32)
    return np.zeros(counters, np.int64), np.zeros(clusters, np.int64), infinite, -infinite


def test_tallies_add_up_as_in_the_plain_loop():
    random = np.random.default_rng(0)
    numbers = nothing()
    for _ in range(50):
        tally = drawn(random)
        expected = slow_with_tally(*numbers, tally)
        before = [column.copy() for column in numbers]
        after = with_tally(*numbers, tally)
        assert [column.tolist() for column in after] == list(expected)
        assert all(map(np.array_equal, before, numbers))  # type: ignore[arg-type]
        numbers = after


@pytest.mark.parametrize("name", ["count", "sum"])
def test_a_number_beyond_64_bits_is_an_error(name):
    tally = drawn(np.random.default_rng(1))
    most = {name: np.full_like(getattr(tally, name), 2**62)}
    full = BucketTally(**{n: most.get(n, getattr(tally, n)) for n in tally.__dataclass_fields__})
    once = with_tally(*nothing(), full)
    with pytest.raises(OverflowingSumError, match=r"exceeds 2\*\*63"):
        with_tally(*once, full)


LEAST, MOST = -(2**63), 2**63 - 1
any_number = st.one_of(
    st.integers(LEAST, MOST), st.sampled_from([LEAST, LEAST + 1, -1, 0, 1, MOST - 1, MOST])
)


@given(st.lists(st.tuples(any_number, any_number), min_size=1, max_size=4))
def test_a_sum_of_any_sign_is_refused_just_where_64_bits_do_not_hold_it(pairs):
    before, more = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    clusters = len(pairs)
    tally = BucketTally(
        0,
        np.zeros(0, np.uint32),
        np.zeros(0, np.int64),
        np.arange(clusters, dtype=np.uint32),
        more,
        *np.zeros((2, clusters), np.float32),
    )
    counts, _, low, high = nothing(counters=1, clusters=clusters)
    exact = [first + second for first, second in pairs]
    if all(LEAST <= number <= MOST for number in exact):
        assert with_tally(counts, before, low, high, tally)[1].tolist() == exact
    else:
        with pytest.raises(OverflowingSumError):
            with_tally(counts, before, low, high, tally)


@given(st.lists(st.tuples(st.integers(0, MOST), st.integers(0, MOST)), min_size=1, max_size=4))
def test_a_count_is_refused_just_where_64_bits_do_not_hold_it(pairs):
    before, more = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    none = np.zeros(0, np.uint32)
    at = np.arange(len(pairs), dtype=np.uint32)
    tally = BucketTally(0, at, more, none, none.astype(np.int64), *np.zeros((2, 0), np.float32))
    _, sums, low, high = nothing(clusters=1)
    exact = [first + second for first, second in pairs]
    if max(exact) <= MOST:
        assert with_tally(before, sums, low, high, tally)[0].tolist() == exact
    else:
        with pytest.raises(OverflowingSumError):
            with_tally(before, sums, low, high, tally)
