from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.selection.topk_filter import TopKFilter
from streams.records.hits import best, join, no_hits, take
from tests.streams.strategies import columns, k_of, plain, plain_hits, quick, slow_best

TABLES = 4
ks = st.integers(1, 3) | st.lists(st.integers(1, 3), min_size=2, max_size=2).map(np.array)
batches_of_hits = st.lists(plain_hits, min_size=1, max_size=5)


def firing(hits):
    """Return the hits as a batch makes them: scores above 0, one per table and row, no rows."""
    found = {(h[0], h[7]): (*h[:8], ()) for h in hits if h[1] > 0}
    return columns(list(found.values()))


def passed(topk_filter, hits):
    """Return the hits that a worker sends of a batch."""
    topk_filter.see(hits)
    return take(hits, np.flatnonzero(topk_filter.unbeaten(hits)))


@quick
@given(batches_of_hits, ks, st.data())
def test_what_is_sent_has_the_best_of_all_for_any_order_and_any_workers(given_hits, k, data):
    batches = [firing(hits) for hits in given_hits]
    numbers = st.integers(0, len(batches) - 1)
    order = data.draw(st.permutations(range(len(batches))))
    doubled = [*order, *data.draw(st.lists(numbers, max_size=3))]
    workers = [TopKFilter(TABLES, k), TopKFilter(TABLES, k)]
    sent = [no_hits()]
    for number in doubled:
        worker = workers[data.draw(st.integers(0, 1))]
        sent.append(passed(worker, batches[number]))
    assert plain(best(join(sent), k)) == plain(best(join(batches), k))


@quick
@given(batches_of_hits, ks, st.data())
def test_every_copy_of_a_batch_sends_the_hits_of_the_final_tables(given_hits, k, data):
    """Whichever copy of a batch is the one that counts: each must be enough by itself."""
    batches = [firing(hits) for hits in given_hits]
    final = plain(best(join(batches), k))
    topk_filter = TopKFilter(TABLES, k)
    numbers = st.integers(0, len(batches) - 1)
    for number in data.draw(st.lists(numbers, min_size=1, max_size=8)):
        winners = passed(topk_filter, batches[number])
        missing = [h for h in final if h in plain(batches[number]) and h not in plain(winners)]
        assert missing == []


@quick
@given(batches_of_hits, ks)
def test_a_hit_stays_behind_only_if_k_samples_beat_it(given_hits, k):
    topk_filter, known = TopKFilter(TABLES, k), []
    for hits in map(firing, given_hits):
        topk_filter.see(hits)
        known += plain(hits)
        table = slow_best(known, k)
        assert topk_filter.unbeaten(hits).tolist() == [
            sum(o[0] == h[0] and (-o[1], o[2:4]) < (-h[1], h[2:4]) for o in table) < k_of(k, h[0])
            for h in plain(hits)
        ]


@quick
@given(batches_of_hits, ks)
def test_the_slots_hold_the_k_best_samples(given_hits, k):
    topk_filter, known = TopKFilter(TABLES, k), []
    for hits in map(firing, given_hits):
        topk_filter.see(hits)
        known += plain(hits)
        best_of_all = slow_best(known, k)
        for table in range(TABLES):
            expected = [(h[1], h[2], h[3]) for h in best_of_all if h[0] == table]
            ranks = zip(*(column.tolist() for column in topk_filter.slots(table)), strict=True)
            assert sorted(ranks, key=lambda r: (-r[0], *r[1:])) == expected


@quick
@given(batches_of_hits, ks)
def test_only_a_better_sample_takes_a_slot(given_hits, k):
    """A batch that comes again takes none."""
    topk_filter = TopKFilter(TABLES, k)
    for hits in map(firing, given_hits):
        topk_filter.see(hits)
    taken = topk_filter.inserts
    for hits in map(firing, given_hits):
        topk_filter.see(hits)
    assert topk_filter.inserts == taken


def test_slots_are_taken_as_seldom_as_random_order_allows():
    """The expected number of records among N in random order is k (1 + ln(N / k)) for k slots."""
    random, k, tables, rows, batches = np.random.default_rng(5), 10, 40, 50, 40
    topk_filter = TopKFilter(tables, k)
    for _ in range(batches):
        hits = columns(
            [
                hit(float(random.random(dtype=np.float32)), int(random.integers(2**60)), table=t)
                for t in range(tables)
                for _ in range(rows)
            ]
        )
        topk_filter.see(hits)
    bound = k * (1 + np.log(rows * batches / k))
    assert topk_filter.inserts / tables == pytest.approx(bound, rel=0.1)


def hit(score, sample, table=0, peak=0, row=0):
    return (table, score, 0, sample, peak, 0, 0, row, ())


def test_the_slots_that_hits_took_are_told():
    topk_filter = TopKFilter(1, 2)
    first = columns([hit(-1.0, 1), hit(2.0, 2), hit(1.0, 3), hit(-9.0, 4)])
    assert topk_filter.see(first).tolist() == [0, 1, 0, -1]
    again = columns([hit(1.0, 3), hit(0.5, 2), hit(3.0, 2), hit(1.0, 4)])
    assert topk_filter.see(again).tolist() == [-2, -1, 1, -1]
    assert topk_filter.slots(0)[0].tolist() == [1.0, 3.0]


def having(tables, k, *batches):
    """Return the filter after these hits."""
    topk_filter = TopKFilter(tables, k)
    for hits in batches:
        topk_filter.see(hits)
    return topk_filter


def test_equal_hits_pass_again():
    full = columns([hit(2.0, 1), hit(1.0, 5)])
    topk_filter = having(1, 2, full, full)
    assert topk_filter.unbeaten(full).all()


def test_the_last_sample_of_a_full_table_passes_from_any_place():
    topk_filter = having(1, 1, columns([hit(1.0, 5)]))
    assert topk_filter.unbeaten(columns([hit(1.0, 5, peak=9, row=3)])).tolist() == [True]


def test_ties_go_to_the_smaller_sample():
    topk_filter = having(1, 1, columns([hit(1.0, 5)]))
    tied = columns([hit(1.0, 4), hit(1.0, 6), hit(0.5, 0)])
    assert topk_filter.unbeaten(tied).tolist() == [True, False, False]


def test_tables_that_are_not_full_let_everything_pass():
    topk_filter = having(2, 2, columns([hit(9.0, 1), hit(9.0, 2), hit(9.0, 1, table=1)]))
    low = columns([hit(0.1, 9), hit(0.1, 9, table=1)])
    assert topk_filter.unbeaten(low).tolist() == [False, True]


def test_the_same_sample_many_times_fills_one_place():
    topk_filter = having(1, 2, columns([hit(9.0, 1, row=r) for r in range(5)]))
    assert topk_filter.unbeaten(columns([hit(0.1, 9)])).tolist() == [True]


def test_samples_whose_keys_end_alike_are_told_apart():
    """The search looks at the last 16 bits first, and at whole keys only where these agree."""
    topk_filter, low = TopKFilter(1, 4), np.array([5, 5 + 2**16, 5 + 2**40, 5], np.uint64)
    column = np.zeros(4, np.uint64)
    column[3] = 1
    scores = np.array([1, 2, 3, 4], np.float32)
    hits = SimpleNamespace(
        table=np.zeros(4, np.uint32), score=scores, sample_high=column, sample_low=low
    )
    assert topk_filter.see(hits).tolist() == [0, 1, 2, 3]
    assert topk_filter.see(hits).tolist() == [-2, -3, -4, -5]
