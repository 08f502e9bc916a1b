from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.health.breaker import Breaker
from consumers.health.limits import Limits
from streams.errors import TooManyDeadLettersError


def after(outcomes: Iterable[bool], limits: Limits = Limits()) -> Breaker:
    breaker = Breaker(limits)
    for refused in outcomes:
        breaker = breaker.after(refused)
    return breaker


@given(st.lists(st.booleans()))
def test_it_counts_records_refused_ones_and_those_in_a_row(outcomes: list[bool]):
    breaker = after(outcomes)
    row = len(outcomes) - next((n for n in range(len(outcomes), 0, -1) if not outcomes[n - 1]), 0)
    assert (breaker.records, breaker.refused) == (len(outcomes), sum(outcomes))
    assert breaker.in_a_row == row


def test_a_share_that_is_borne_goes_on():
    after([False, True, *[False] * 18] * 10).check()  # one in twenty: five per cent


def test_a_larger_share_ends_the_worker_with_both_numbers():
    with pytest.raises(TooManyDeadLettersError, match=r"6 of 100 records .* more than 5\.0%"):
        after([True] * 6 + [False] * 94).check()


def test_a_share_of_few_records_says_nothing_yet():
    after([True] * 10 + [False] * 39).check()
    with pytest.raises(TooManyDeadLettersError):
        after([True] * 10 + [False] * 40).check()


def test_a_run_of_refusals_ends_the_worker_even_early():
    after([True] * 19).check()
    with pytest.raises(TooManyDeadLettersError, match="20 records in a row"):
        after([True] * 20).check()


def test_one_good_record_ends_a_run_of_refusals():
    limits = Limits(dead_letter_ratio=1.0)
    after([*[True] * 19, False] * 9, limits).check()
