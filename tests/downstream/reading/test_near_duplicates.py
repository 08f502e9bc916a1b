"""Folding of near-duplicates, against comparing every pair of sets."""

from hypothesis import given
from hypothesis import strategies as st

from downstream.reading.near_duplicates import SHINGLE, folded
from tests.streams.strategies import quick

rows = st.lists(st.lists(st.integers(0, 2), max_size=9), max_size=8)


def similar(one: list[int], other: list[int]) -> float:
    a, b = (
        {tuple(ids[at : at + SHINGLE]) for at in range(max(len(ids) - SHINGLE, 0) + 1)}
        for ids in (one, other)
    )
    return len(a & b) / len(a | b)


@quick
@given(rows, st.sampled_from([0.3, 0.5, 1.0]))
def test_a_row_is_folded_under_the_first_that_is_similar_and_shown(
    given_rows: list[list[int]], similarity: float
) -> None:
    found = folded(given_rows, similarity)
    shown: list[int] = []
    for number, ids in enumerate(given_rows):
        like = [one for one in shown if similar(given_rows[one], ids) >= similarity]
        assert found[number] == (like[0] if like else number)
        if not like:
            shown.append(number)
