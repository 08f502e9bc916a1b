from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.pending_hits import no_pending_hits, settled, with_part, with_shares
from consumers.aggregation.shards import new_bucket
from streams.records.hits import rank, take
from tests import factories
from tests.consumers.folding import with_hits
from tests.streams.same import bits
from tests.streams.strategies import columns, plain_hits, quick

PLAN = factories.plan(shards=1, rankings=("maximum",))
START = [new_bucket(PLAN, 0, bucket) for bucket in PLAN.buckets_of(0)]


def spread(hits):
    """Return hits over tables of several buckets."""
    return [(hit[0] * 4, *hit[1:]) for hit in hits]


parts_of_hits = st.lists(plain_hits.map(spread).map(columns), max_size=5)


@quick
@given(parts_of_hits, st.lists(st.booleans(), min_size=5, max_size=5))
def test_when_hits_are_merged_changes_nothing(parts, settles):
    plain, pending = START, no_pending_hits(PLAN, START)
    for part, settle in zip(parts, settles, strict=False):
        plain = [with_hits(PLAN, state, part, -1) for state in plain]
        pending = with_part(pending, part)
        if settle:
            pending = settled(PLAN, pending)
            again = no_pending_hits(PLAN, list(with_shares(PLAN, START, pending)))
            assert bits(again) == bits(pending)
    found = list(with_shares(PLAN, START, settled(PLAN, pending)))
    assert sorted_by_rank(found) == sorted_by_rank(plain)


def sorted_by_rank(states):
    return [bits(replace(state, hits=take(state.hits, rank(state.hits)))) for state in states]


def hit(sample, score):
    return (0, score, 0, sample, 0, 0, 0, 0, ())


def test_hits_that_k_others_beat_do_not_wait():
    pending = with_part(no_pending_hits(PLAN, START), columns([hit(n, 2.0) for n in range(3)]))
    pending = settled(PLAN, pending)
    assert with_part(pending, columns([hit(9, 1.0), hit(8, 2.0)])).count == 0
    assert with_part(pending, columns([hit(9, 1.0), hit(8, 3.0)])).count == 1
    assert with_part(pending, columns([hit(2, 2.0)])).count == 1


@pytest.mark.parametrize("waiting", [16_384, 16_385])
def test_hits_are_due_when_more_wait_than_may(waiting):
    pending = replace(no_pending_hits(PLAN, START), count=waiting)
    assert pending.is_due == (waiting > 16_384)
