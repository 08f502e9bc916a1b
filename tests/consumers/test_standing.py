import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.standing import new_standing, seen, unbeaten
from streams.hits import best, join, no_hits, take
from tests.streams.strategies import columns, plain, plain_hits, quick, slow_best

TABLES = 4
ks = st.integers(1, 3)
batches_of_hits = st.lists(plain_hits, min_size=1, max_size=5)


def firing(hits):
    """Return the hits as a batch makes them: scores above 0, one per table and row, no rows."""
    found = {(h[0], h[7]): (*h[:8], ()) for h in hits if h[1] > 0}
    return columns(list(found.values()))


def passed(standing, hits):
    """Return the standing after a batch and the hits that a worker sends of it."""
    standing = seen(standing, hits)
    return standing, take(hits, np.flatnonzero(unbeaten(standing, hits)))


@quick
@given(batches_of_hits, ks, st.data())
def test_what_is_sent_has_the_best_of_all_for_any_order_and_any_workers(given_hits, k, data):
    batches = [firing(hits) for hits in given_hits]
    numbers = st.integers(0, len(batches) - 1)
    order = data.draw(st.permutations(range(len(batches))))
    doubled = [*order, *data.draw(st.lists(numbers, max_size=3))]
    workers = [new_standing(TABLES, k), new_standing(TABLES, k)]
    sent = [no_hits()]
    for number in doubled:
        which = data.draw(st.integers(0, 1))
        workers[which], winners = passed(workers[which], batches[number])
        sent.append(winners)
    assert plain(best(join(sent), k)) == plain(best(join(batches), k))


@quick
@given(batches_of_hits, ks, st.data())
def test_every_copy_of_a_batch_sends_the_hits_of_the_final_tables(given_hits, k, data):
    """Whichever copy of a batch is the one that counts: each must be enough by itself."""
    batches = [firing(hits) for hits in given_hits]
    final = plain(best(join(batches), k))
    standing = new_standing(TABLES, k)
    numbers = st.integers(0, len(batches) - 1)
    for number in data.draw(st.lists(numbers, min_size=1, max_size=8)):
        standing, winners = passed(standing, batches[number])
        missing = [h for h in final if h in plain(batches[number]) and h not in plain(winners)]
        assert missing == []


@quick
@given(batches_of_hits, ks)
def test_a_hit_stays_behind_only_if_k_samples_beat_it(given_hits, k):
    standing, known = new_standing(TABLES, k), []
    for hits in map(firing, given_hits):
        standing = seen(standing, hits)
        known += plain(hits)
        table = slow_best(known, k)
        assert unbeaten(standing, hits).tolist() == [
            sum(o[0] == h[0] and (-o[1], o[2:4]) < (-h[1], h[2:4]) for o in table) < k
            for h in plain(hits)
        ]


@quick
@given(batches_of_hits, ks)
def test_thresholds_only_rise(given_hits, k):
    standing = new_standing(TABLES, k)
    for hits in map(firing, given_hits):
        before, standing = standing, seen(standing, hits)
        assert (last_places(standing) <= last_places(before)).all()


def last_places(standing):
    """Return objects that compare as the last place of each table does: smaller is better."""
    places = zip(-standing.score, standing.high.tolist(), standing.low.tolist(), strict=True)
    found = np.empty(TABLES, object)
    found[:] = list(places)
    return found


def hit(score, sample, table=0, peak=0, row=0):
    return (table, score, 0, sample, peak, 0, 0, row, ())


def test_equal_hits_pass_again():
    full = columns([hit(2.0, 1), hit(1.0, 5)])
    standing = seen(seen(new_standing(1, 2), full), full)
    assert unbeaten(standing, full).all()


def test_the_last_sample_of_a_full_table_passes_from_any_place():
    standing = seen(new_standing(1, 1), columns([hit(1.0, 5)]))
    assert unbeaten(standing, columns([hit(1.0, 5, peak=9, row=3)])).tolist() == [True]


def test_ties_go_to_the_smaller_sample():
    standing = seen(new_standing(1, 1), columns([hit(1.0, 5)]))
    tied = columns([hit(1.0, 4), hit(1.0, 6), hit(0.5, 0)])
    assert unbeaten(standing, tied).tolist() == [True, False, False]


def test_tables_that_are_not_full_let_everything_pass():
    standing = seen(new_standing(2, 2), columns([hit(9.0, 1), hit(9.0, 2), hit(9.0, 1, table=1)]))
    low = columns([hit(0.1, 9), hit(0.1, 9, table=1)])
    assert unbeaten(standing, low).tolist() == [False, True]


def test_the_same_sample_many_times_fills_one_place():
    standing = seen(new_standing(1, 2), columns([hit(9.0, 1, row=r) for r in range(5)]))
    assert unbeaten(standing, columns([hit(0.1, 9)])).tolist() == [True]


def test_memory_is_k_ranks_without_rows():
    hits = columns([(*hit(float(s), s, table=s % 2)[:8], ((0, 0, 1.0),)) for s in range(1, 40)])
    ranks = seen(new_standing(2, 3), hits).ranks
    assert (len(ranks), len(ranks.member)) == (6, 0)
