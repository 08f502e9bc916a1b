from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.overlay import Overlay, partial
from consumers.selection.messages import batch_records, bucket_tallies, end_records, refused_records
from consumers.selection.selection import select, valid_tokens, with_rows
from streams import topics
from streams.records.corpus import PartitionEnd
from streams.records.hits import take
from tests import factories
from tests.streams.same import bits
from tests.streams.strategies import plain, quick

PLAN = factories.plan()
CHAINED = {topics.STATISTICS, topics.SOURCE_END}


def computed(plan, batch, seed=0):
    """Return the tally and all hits of a batch."""
    valid = valid_tokens(plan, batch)
    activations = factories.DenseEngine(plan, seed).compute(batch, valid)
    selection = select(plan, batch, valid, activations)
    return selection.tally, with_rows(selection, np.arange(len(selection.candidates)))


def small_records(record_bytes):
    """Return the plan with another limit for records; its own check is about whole tables."""
    return replace(PLAN, run=replace(PLAN.run, record_bytes=record_bytes))


def folded(records):
    """Return the state of every bucket after the records, by the way that aggregators take."""
    overlay = Overlay(PLAN)
    for shard in range(PLAN.run.shards):
        overlay.load(shard, ())
    for offset, record in enumerate(records):
        found = partial(PLAN, record.shard, record.kind, record.value)
        assert overlay.apply(record.shard, offset, found).gap is None
    return [
        bits(replace(state, position=0))
        for shard in range(PLAN.run.shards)
        for state in overlay.states(shard)
    ]


@quick
@given(st.integers(0, 50), st.sampled_from([400, 1500, 4000, 20_000]))
def test_a_batch_cut_into_small_records_folds_to_the_same(seed, record_bytes):
    batch = factories.batches(seed=seed)[0]
    tally, hits = computed(PLAN, batch, seed)
    whole = list(batch_records(PLAN, 0, 0, tally, hits))
    cut = list(batch_records(small_records(record_bytes), 0, 0, tally, hits))
    assert len(whole) < len(cut) or record_bytes > 4000
    assert folded(cut) == folded(whole)


@quick
@given(st.integers(0, 50), st.sampled_from([400, 1500, 4000, 10**6]))
def test_each_bucket_is_covered_by_exactly_one_chained_record(seed, record_bytes):
    plan = small_records(record_bytes)
    tally, hits = computed(plan, factories.batches(seed=seed)[0], seed)
    covered = []
    for record in batch_records(plan, 0, 0, tally, hits):
        if record.kind == topics.STATISTICS:
            found = partial(plan, record.shard, record.kind, record.value)
            covered += range(found.first, found.stop)
    assert covered == list(range(len(plan.bucket_first) - 1))


@quick
@given(st.integers(0, 50), st.sampled_from([400, 1500, 10**6]))
def test_hits_go_to_their_shard_before_its_statistics_and_none_is_lost(seed, record_bytes):
    plan = small_records(record_bytes)
    tally, hits = computed(plan, factories.batches(seed=seed)[0], seed)
    sent, closed = [], set()
    for record in batch_records(plan, 0, 0, tally, hits):
        if record.kind == topics.STATISTICS:
            closed.add(record.shard)
            continue
        assert record.shard not in closed
        found = partial(plan, record.shard, record.kind, record.value)
        base = plan.bucket_first[plan.shard_first[record.shard]] * plan.tables
        sent += [(h[0] + base, *h[1:]) for h in plain(found.hits)]
    assert sorted(sent) == sorted(plain(hits))


def test_records_stay_under_the_limit_unless_they_hold_one_hit_or_one_bucket():
    plan = small_records(4000)
    for batch in factories.batches(rows=16, per_partition=2):
        for record in batch_records(plan, 0, 0, *computed(plan, batch)):
            found = partial(plan, record.shard, record.kind, record.value)
            single = len(found.hits if record.kind == topics.HITS else found.tallies) == 1
            assert len(record.value) <= 4000 or single


def test_one_hit_above_the_limit_is_one_record():
    tally, hits = computed(PLAN, factories.batches()[0])
    records = list(batch_records(small_records(4), 0, 0, tally, hits))
    assert sum(r.kind == topics.HITS for r in records) == len(hits)


def test_the_order_of_hits_does_not_matter():
    tally, hits = computed(PLAN, factories.batches()[0])
    shuffled = take(hits, np.random.default_rng(0).permutation(len(hits)))
    first, second = (batch_records(PLAN, 0, 0, tally, h) for h in (hits, shuffled))
    assert folded(list(first)) == folded(list(second))


def test_a_batch_in_which_nothing_fires_still_moves_every_chain():
    batch = factories.batch([[0] * 6] * 4, [6] * 4)
    tally, hits = computed(PLAN, batch)
    records = list(batch_records(PLAN, 1, 3, tally, hits))
    assert [(r.shard, r.kind, r.sequence) for r in records] == [
        (shard, topics.STATISTICS, 3) for shard in range(3)
    ]


def test_a_refused_batch_moves_every_chain_and_adds_nothing():
    records = list(refused_records(PLAN, 1, 0))
    assert [r.shard for r in records] == [0, 1, 2]
    before, after = folded([]), folded(records)
    for old, new in zip(before, after, strict=True):
        fields = dict(new[1])
        assert np.frombuffer(fields["chain"][2], np.int64).tolist() == [-1, 0]
        assert fields["refused"] == 1
        changed = {name for name, value in old[1] if fields[name] != value}
        assert changed == {"chain", "refused"}


def test_the_end_of_a_partition_goes_to_every_shard():
    records = list(end_records(PLAN, PartitionEnd("text", 1, 7, 0, 0)))
    assert [(r.shard, r.kind, r.sequence) for r in records] == [
        (shard, topics.SOURCE_END, 7) for shard in range(3)
    ]
    ends = [partial(PLAN, r.shard, r.kind, r.value) for r in records]
    assert {(end.partition, end.batches) for end in ends} == {(1, 7)}


@pytest.mark.parametrize("seed", range(3))
def test_tallies_of_the_buckets_add_up_to_the_batchs(seed):
    tally, _ = computed(PLAN, factories.batches(seed=seed)[0], seed)
    at, cluster = [], []
    for part in bucket_tallies(PLAN, range(len(PLAN.bucket_first) - 1), tally):
        at += (part.count_at + PLAN.layout.sum_first[part.bucket]).tolist()
        cluster += (part.sum_at + PLAN.bucket_first[part.bucket]).tolist()
    assert at == tally.count_at.tolist()
    assert cluster == tally.moments.at.tolist()
