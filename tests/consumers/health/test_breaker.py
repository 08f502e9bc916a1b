from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.health.breaker import Breaker
from consumers.health.limits import Limits

Handled = tuple[int, bool]  # partition, refused

handled = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60)
limits = st.builds(
    Limits,
    dead_letter_ratio=st.sampled_from([0.0, 0.05, 0.25, 0.5, 1.0]),
    dead_letter_records=st.integers(1, 30),
    dead_letter_run=st.integers(1, 8),
)


def after(records: Iterable[Handled], limits: Limits = Limits()) -> Breaker:
    breaker = Breaker(limits)
    for partition, refused in records:
        breaker = breaker.after(partition, refused)
    return breaker


def plain_rule(records: Sequence[Handled], limits: Limits) -> bool:
    """What the breaker means, said by looking at everything again."""
    window = records[-limits.dead_letter_records :]
    if sum(refused for _, refused in window) / limits.dead_letter_records > (
        limits.dead_letter_ratio
    ):
        return True
    for one in {partition for partition, _ in records}:
        last = [refused for partition, refused in records if partition == one]
        last = last[-limits.dead_letter_run :]
        if len(last) == limits.dead_letter_run and all(last):
            return True
    return False


@given(handled, limits)
def test_it_ends_a_worker_exactly_where_the_plain_rule_does(records: list[Handled], limits: Limits):
    for stop in range(len(records) + 1):
        breaker = after(records[:stop], limits)
        assert (breaker.verdict() is not None) == plain_rule(records[:stop], limits)
        assert breaker.records == stop


@given(handled, limits)
def test_a_worker_that_starts_again_behind_the_refused_ones_reaches_the_end(
    records: list[Handled], limits: Limits
):
    """Each start gets further, so there are at most as many starts as refused records."""
    at = starts = 0
    while at < len(records):
        breaker, starts = Breaker(limits), starts + 1
        while at < len(records) and breaker.verdict() is None:
            breaker = breaker.after(*records[at])
            at += 1
    assert starts <= 1 + sum(refused for _, refused in records)


@given(st.integers(1, 16), st.integers(1, 3))
def test_a_few_refused_ones_at_the_head_of_every_partition_are_borne(partitions: int, few: int):
    breaker = Breaker(Limits())
    for record in range(50 * partitions):
        partition, place = record % partitions, record // partitions
        breaker = breaker.after(partition, place < few)
        assert breaker.verdict() is None


def test_a_share_that_is_borne_goes_on():
    records = [(0, number % 20 == 1) for number in range(5000)]  # one in twenty: five per cent
    assert all(after(records[:stop]).verdict() is None for stop in (50, 999, 1000, 1001, 5000))


def test_a_larger_share_ends_the_worker_with_both_numbers():
    said = str(after([(0, number % 19 == 1) for number in range(960)]).verdict())
    assert "51 of the last 960 records became dead letters, more than 5.0% of 1,000" in said


def test_good_records_of_long_ago_hide_nothing():
    records = [(0, False)] * 20_000 + [(0, number % 2 == 0) for number in range(101)]
    assert "51 of the last 1,000 records" in str(after(records).verdict())


def test_a_run_of_refusals_in_one_partition_ends_the_worker_even_early():
    row = [(2, True)] * 19
    assert after(row).verdict() is None
    assert "20 records in a row of partition 2" in str(after([*row, (2, True)]).verdict())


def test_partitions_have_runs_of_their_own():
    mixed = [(number % 2, number % 2 == 0) for number in range(39)]
    loose = Limits(dead_letter_ratio=1.0)
    assert "20 records in a row of partition 0" in str(after(mixed, loose).verdict())
    spread = [(number % 2, True) for number in range(38)]
    assert after(spread, loose).verdict() is None


@pytest.mark.parametrize("good", [0, 5, 19])
def test_one_good_record_ends_a_run_of_refusals(good: int):
    row = [(0, True)] * 19
    records = [*row[:good], (0, False), *row] * 9
    assert after(records, Limits(dead_letter_ratio=1.0)).verdict() is None
