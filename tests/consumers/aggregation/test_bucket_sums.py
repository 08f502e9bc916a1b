import numpy as np
import pytest

from consumers.aggregation.bucket_sums import with_tally
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


def nothing(counters=50, clusters=9):
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
        assert all(map(np.array_equal, before, numbers))
        numbers = after


@pytest.mark.parametrize("name", ["count", "sum"])
def test_a_number_beyond_64_bits_is_an_error(name):
    tally = drawn(np.random.default_rng(1))
    most = {name: np.full_like(getattr(tally, name), 2**62)}
    full = BucketTally(**{n: most.get(n, getattr(tally, n)) for n in tally.__dataclass_fields__})
    once = with_tally(*nothing(), full)
    with pytest.raises(OverflowingSumError, match=r"exceeds 2\*\*63"):
        with_tally(*once, full)
