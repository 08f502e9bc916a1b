from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ShapeError
from streams.records.hits import best, join, no_hits, ranges, rank, take
from tests.streams.strategies import columns, plain, plain_hits, quick, slow_best, slow_rank

ks = st.integers(1, 4) | st.lists(st.integers(1, 4), min_size=2, max_size=2).map(np.array)


def hit(table=0, score=1.0, sample=0, peak=0, place=(0, 0, 0), entries=()):
    return (table, score, 0, sample, peak, *place, tuple(entries))


def unique_rows(hits):
    """Return the hits with rows that follow from their head: the same hit has the same rows."""
    return [(*h[:8], ((h[4], h[5], float(h[6])),) * (h[7] % 3)) for h in hits]


@quick
@given(plain_hits, ks)
def test_best_is_the_plain_sort_on_the_documented_order(hits, k):
    hits = unique_rows(hits)
    assert plain(best(columns(hits), k)) == slow_best(hits, k)


@quick
@given(plain_hits)
def test_rank_is_the_plain_sort(hits):
    ranked = [slow_rank(hits[i]) for i in rank(columns(hits))]
    assert ranked == sorted(map(slow_rank, hits))


@quick
@given(plain_hits, plain_hits, ks, st.randoms(use_true_random=False))
def test_order_replays_and_earlier_cuts_do_not_matter(first, second, k, random):
    first, second = unique_rows(first), unique_rows(second)
    shuffled = [*first, *second, *random.choices([*first, *second, hit()], k=3)]
    shuffled = [h for h in shuffled if h != hit() or hit() in first + second]
    random.shuffle(shuffled)
    whole = plain(best(columns(first + second), k))
    assert plain(best(columns(shuffled), k)) == whole
    cut = join([best(columns(second), k), best(columns(first), k)])
    assert plain(best(cut, k)) == whole
    assert plain(best(join([best(cut, k), best(columns(first), k)]), k)) == whole


@quick
@given(plain_hits, ks)
def test_rows_do_not_decide(hits, k):
    bare = [(*one[:-1], ()) for one in hits]
    assert plain(best(columns(bare), k)) == [
        (*one[:-1], ()) for one in plain(best(columns(hits), k))
    ]


def test_equal_scores_go_to_the_smaller_sample():
    hits = [hit(sample=9), hit(sample=3), hit(sample=5)]
    assert plain(best(columns(hits), 2)) == [hits[1], hits[2]]


def test_high_words_of_the_sample_go_before_low_ones():
    low, high = (0, 1.0, 1, 0, 0, 0, 0, 0, ()), (0, 1.0, 0, 2**64 - 1, 0, 0, 0, 0, ())
    assert plain(best(columns([low, high]), 2)) == [high, low]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (hit(peak=2), hit(peak=1, place=(9, 9, 9))),
        (hit(place=(1, 0, 0)), hit(place=(0, 9, 9))),
        (hit(place=(0, 2, 0)), hit(place=(0, 1, 9))),
        (hit(place=(0, 0, 2)), hit(place=(0, 0, 1))),
        (hit(score=1.0), hit(score=1 + 2.0**-23, peak=9)),
    ],
)
def test_a_sample_in_several_places_is_one_hit_with_its_best_place(worse, better):
    for hits in ([worse, better], [better, worse]):
        assert plain(best(columns(hits), 5)) == [better]


def test_negative_zero_is_zero():
    zeros = [hit(score=-0.0, sample=1), hit(score=0.0, sample=2), hit(score=-0.0, sample=3)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        found = best(columns([zeros[i] for i in order]), 5)
        assert found.sample_low.tolist() == [1, 2, 3]


def test_one_sample_may_stand_in_many_tables():
    hits = [hit(table=t, sample=7) for t in (2, 0, 1)]
    assert best(columns(hits), 1).table.tolist() == [0, 1, 2]


def test_samples_that_collide_in_the_mixed_word_stay_apart():
    first, second = (0, 1.0, 1, 5, 0, 0, 0, 0, ()), (0, 1.0, 2, 5, 0, 0, 0, 0, ())
    assert plain(best(columns([second, first, first]), 5)) == [first, second]


def test_nothing_stays_nothing():
    assert len(best(no_hits(), 3)) == 0
    assert len(join([no_hits(), no_hits()])) == 0
    assert len(take(no_hits(), np.zeros(0, np.int64))) == 0


@quick
@given(plain_hits, st.data())
def test_take_gives_each_hit_with_its_own_rows(hits, data):
    which = data.draw(st.lists(st.integers(0, len(hits) - 1), max_size=9) if hits else st.just([]))
    taken = take(columns(hits), np.array(which, np.int64))
    assert plain(taken) == [hits[i] for i in which]


@quick
@given(st.lists(plain_hits, min_size=1, max_size=4))
def test_join_puts_one_part_after_the_other(parts):
    assert plain(join([columns(part) for part in parts])) == [hit for part in parts for hit in part]


@quick
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=8))
def test_ranges_are_the_plain_ranges(runs):
    starts, lengths = np.array([*zip(*runs, strict=True)] or [(), ()], np.int64)
    expected = [start + i for start, length in runs for i in range(length)]
    assert ranges(starts, lengths.astype(np.int32)).tolist() == expected


@quick
@given(plain_hits)
def test_whole_hits_pass_the_check(hits):
    columns(hits).check(4)


WHOLE = columns([hit(table=1, entries=[(0, 1, 0.5)]), hit(table=3, entries=[(0, 2, 1.0)] * 2)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peak": np.zeros(1, np.int32)}, "columns of different lengths"),
        ({"score": np.zeros((2, 1), np.float32)}, "columns of different lengths"),
        ({"position": np.zeros(2, np.int32)}, "row entries of different lengths"),
        ({"value": np.ones((3, 1), np.float32)}, "row entries of different lengths"),
        ({"rows": np.array([1, 1], np.int32)}, "rows do not add up"),
        ({"rows": np.array([-1, 4], np.int32)}, "rows do not add up"),
        ({"table": np.array([1, 4], np.uint32)}, "table 4 of 4"),
        ({"score": np.array([1, np.nan], np.float32)}, "not finite"),
        ({"value": np.array([1, 2, np.inf], np.float32)}, "not finite"),
    ],
)
def test_hits_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ShapeError, match=said):
        replace(WHOLE, **changes).check(4)


def test_rows_cannot_add_up_by_overflow():
    rows = np.array([2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1, 4, 3], np.int32)
    with pytest.raises(ShapeError, match="rows do not add up"):
        replace(columns([hit()] * 6), rows=rows).check(4)


def test_entries_without_a_hit_are_refused():
    with pytest.raises(ShapeError, match="entries without a hit"):
        replace(no_hits(), member=np.zeros(1, np.int32), position=np.zeros(1, np.int32),
                value=np.zeros(1, np.float32)).check(4)  # fmt: skip
