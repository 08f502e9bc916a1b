from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consumers.aggregation.shards import (
    SequenceGap,
    check_end,
    check_hits,
    check_state,
    check_statistics,
    is_complete,
    moved_to,
    new_bucket,
    with_end,
    with_statistics,
)
from consumers.statistics.registry import optional_statistics
from streams.errors import OverflowingSumError, ShapeError
from streams.records.hits import no_hits
from streams.records.partials import BucketState, HitsPart, SourceEnd, Statistics
from streams.records.tallies import BucketTally, KeyedSums, KeyNames
from tests import factories
from tests.consumers.folding import with_hits
from tests.streams.same import bits
from tests.streams.strategies import columns, plain

PLAN = factories.plan()
BUCKETS = PLAN.buckets_of(0)
START = new_bucket(PLAN, 0, 0)


def statistics(sequence=0, **changes):
    given = {
        "run": PLAN.id, "shard": 0, "partition": 0, "sequence": sequence,
        "first": BUCKETS.start, "stop": BUCKETS.stop, "tokens": 6, "rows": 2, "refused": False,
    }  # fmt: skip
    return Statistics(**{**given, **changes})


def tally(**changes):
    given = {
        "bucket": 0,
        "count_at": np.array([0, 2], np.uint32),
        "count": np.array([5, 1], np.int64),
        "sum_at": np.array([0], np.uint32),
        "sum": np.array([10], np.int64),
        "low": np.array([0.5], np.float32),
        "high": np.array([1.5], np.float32),
    }
    return BucketTally(**{**given, **changes})


def hit(table=0, score=1.0, sample=1, peak=0, place=(0, 0, 0), entries=((0, 0, 1.0),)):
    return (table, score, 0, sample, peak, *place, entries)


def part(*hits, **changes):
    given = {"run": PLAN.id, "shard": 0, "partition": 0, "sequence": 0, "hits": columns([*hits])}
    return HitsPart(**{**given, **changes})


def applied(*sequences, state=START):
    """Return the state after chained records of these sequences, all to be taken."""
    for offset, sequence in enumerate(sequences):
        state = taken(state, statistics(sequence), tally(), offset)
    return state


def taken(state: BucketState, *given: Any) -> BucketState:
    found = with_statistics(PLAN, state, *given)
    assert not isinstance(found, SequenceGap)
    return found


def test_statistics_add_up_once_each():
    state = applied(0, 1)
    assert (state.tokens, state.rows, state.refused, state.position) == (12, 4, 0, 1)
    assert state.counts[:3].tolist() == [10, 0, 2]
    assert state.sums[:1].tolist() == [20]
    assert (state.low[0], state.high[0]) == (0.5, 1.5)
    assert state.chain.tolist() == [1, -1]


def test_a_duplicate_moves_the_position_only():
    once, twice = applied(0, 1), applied(0, 1, 0, 1, 1)
    assert twice.position == 4
    assert bits(replace(twice, position=once.position)) == bits(once)


def test_a_gap_is_reported_and_changes_nothing():
    state = applied(0)
    assert with_statistics(PLAN, state, statistics(2), tally(), 9) == SequenceGap(0, 1, 2)
    assert with_statistics(PLAN, START, statistics(1), tally(), 9) == SequenceGap(0, 0, 1)
    assert bits(state) == bits(applied(0))


def test_partitions_have_chains_of_their_own():
    state = with_statistics(PLAN, applied(0, 1), statistics(0, partition=1), None, 5)
    assert state.chain.tolist() == [1, 0]


def test_a_tombstone_advances_the_chain_and_counts_as_refused():
    refused = statistics(0, tokens=0, rows=0, refused=True)
    state = taken(START, refused, None, 0)
    assert (state.refused, state.tokens, state.chain.tolist()) == (1, 0, [0, -1])
    assert not state.counts.any()
    again = taken(state, refused, None, 1)
    assert again.refused == 1
    assert with_statistics(PLAN, again, statistics(1), tally(), 2).counts[0] == 5


def test_extremes_only_widen():
    wider = tally(low=np.array([0.25], np.float32), high=np.array([1.0], np.float32))
    state = with_statistics(PLAN, applied(0), statistics(1), wider, 1)
    assert (state.low[0], state.high[0]) == (0.25, 1.5)


def test_a_state_is_never_changed_in_place():
    before = bits(START)
    applied(0, 1)
    with_end(START, SourceEnd(PLAN.id, 0, 0, 3), 0)
    with_hits(PLAN, START, columns([hit()]), 0)
    assert bits(START) == before


def test_a_sum_beyond_64_bits_is_an_error():
    full = tally(sum=np.array([2**62], np.int64))
    state = taken(START, statistics(0), full, 0)
    with pytest.raises(OverflowingSumError, match=r"exceeds 2\*\*63: .*lower sum_bits"):
        with_statistics(PLAN, state, statistics(1), full, 1)


def test_hits_may_come_again_and_before_their_statistics():
    hits = columns([hit(), hit(sample=2, score=3.0), hit(table=1)])
    once = with_hits(PLAN, START, hits, 4)
    assert [h[3] for h in plain(once.hits)] == [2, 1, 1]
    assert bits(with_hits(PLAN, once, hits, 4)) == bits(once)
    assert once.position == 4


def test_only_the_k_best_of_a_table_are_kept():
    hits = [hit(sample=s, score=float(s)) for s in range(1, 6)]
    state = START
    for offset, one in enumerate(hits):
        state = with_hits(PLAN, state, columns([one]), offset)
    assert state.hits.sample_low.tolist() == [5, 4, 3]


def test_a_bucket_takes_its_own_tables_only():
    plan = factories.plan(shards=1)
    hits = columns([hit(table=t, sample=t + 1) for t in range(plan.clusters * plan.tables)])
    for bucket in plan.buckets_of(0):
        own = plan.clusters_of(bucket)
        found = with_hits(plan, new_bucket(plan, 0, bucket), hits, 0).hits
        assert found.table.tolist() == list(range(len(own) * plan.tables))
        assert found.sample_low[0] == own.start * plan.tables + 1


def test_a_record_for_others_moves_the_position_only():
    assert bits(replace(moved_to(START, 8), position=-1)) == bits(START)
    assert moved_to(START, 8).position == 8


def test_a_shard_is_complete_when_every_partition_is_applied_to_its_end():
    state = applied(0, 1)
    assert not is_complete(state)
    state = with_end(state, SourceEnd(PLAN.id, 0, 0, 2), 5)
    assert not is_complete(state)
    assert is_complete(with_end(state, SourceEnd(PLAN.id, 0, 1, 0), 6))
    assert not is_complete(with_end(state, SourceEnd(PLAN.id, 0, 1, 1), 6))


def test_whole_partials_pass():
    check_statistics(PLAN, statistics(tallies=(tally(),)))
    check_statistics(PLAN, statistics(refused=True, tokens=0, rows=0))
    check_hits(PLAN, part())
    check_hits(PLAN, part(hit(), hit(table=1, peak=5, place=(1, 9, 3))))
    check_end(PLAN, SourceEnd(PLAN.id, 0, 1, 0))


COUNTERS = PLAN.counters_of(0)
CLUSTERS = len(PLAN.clusters_of(0))


def at(*values):
    return np.array(values, np.uint32)


def keyed(number=0, clusters=(0,), columns=1):
    """Return keyed sums of one key for each cluster."""
    keys = np.zeros(len(clusters), np.uint64)
    return KeyedSums(number, at(*clusters), keys, np.ones(len(clusters) * columns, np.int64))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": "another"}, "another run"),
        ({"shard": -1}, "shard -1 of 3"),
        ({"shard": 3}, "shard 3 of 3"),
        ({"partition": 2}, "that the corpus cannot hold"),
        ({"partition": -1}, "that the corpus cannot hold"),
        ({"sequence": -1}, "that the corpus cannot hold"),
        ({"shard": 1}, "statistics for buckets"),
        ({"first": -1}, "statistics for buckets"),
        ({"first": BUCKETS.stop, "stop": BUCKETS.start}, "statistics for buckets"),
        ({"stop": BUCKETS.stop + 1}, "statistics for buckets"),
        ({"tokens": -1, "rows": -1}, "-1 tokens in -1 rows"),
        ({"rows": -1}, "tokens in -1 rows"),
        ({"tokens": 1, "rows": 2}, "1 tokens in 2 rows"),
        ({"tokens": 2**63 - 1}, "tokens in 2 rows"),
        ({"tallies": (tally(), tally())}, "repeat or are out of order"),
        ({"tallies": (tally(bucket=1), tally(bucket=0))}, "repeat or are out of order"),
        ({"tallies": (tally(),), "refused": True}, "repeat or are out of order"),
        ({"tallies": (tally(bucket=BUCKETS.stop),)}, "not among the record's"),
        ({"tallies": (tally(bucket=-1),)}, "not among the record's"),
        ({"tallies": (tally(count_at=at(0, COUNTERS)),)}, f"beyond {COUNTERS} counters"),
        ({"tallies": (tally(count_at=at(2, 0)),)}, "counters are not in ascending order"),
        ({"tallies": (tally(count_at=at(2, 2)),)}, "counters are not in ascending order"),
        ({"tallies": (tally(count_at=at(1)),)}, "counts do not fit"),
        ({"tallies": (tally(count_at=np.zeros((2, 1), np.uint32)),)}, "address beyond"),
        ({"tallies": (tally(count=np.array([1, -1])),)}, "counts do not fit"),
        ({"tallies": (tally(sum_at=at(CLUSTERS)),)}, f"beyond {CLUSTERS} moments"),
        ({"tallies": (tally(sum_at=at(0, 0)),)}, "moments are not in ascending order"),
        ({"tallies": (tally(sum=np.array([1, 2])),)}, "sums do not fit"),
        ({"tallies": (tally(low=np.ones((1, 1), np.float32)),)}, "sums do not fit"),
        ({"tallies": (tally(high=np.ones(0, np.float32)),)}, "sums do not fit"),
        ({"tallies": (tally(sum=np.array([-1])),)}, "negative sum"),
        ({"tallies": (tally(low=np.array([np.nan], np.float32)),)}, "not finite"),
        ({"tallies": (tally(high=np.array([np.inf], np.float32)),)}, "not finite"),
        ({"tallies": (tally(keyed=(keyed(),)),)}, "keyed sums that the run does not have"),
        ({"names": (KeyNames(0, ("web",)),)}, "keyed sums that the run does not have"),
    ],
)  # fmt: skip
def test_statistics_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ShapeError, match=said):
        check_statistics(PLAN, statistics(**changes))


TABLES = int(PLAN.bucket_first[BUCKETS.stop]) * PLAN.tables


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (part(run="another"), "another run"),
        (part(shard=3), "shard 3 of 3"),
        (part(partition=2), "that the corpus cannot hold"),
        (part(sequence=-1), "that the corpus cannot hold"),
        (part(hit(table=TABLES)), f"table {TABLES} of {TABLES}"),
        (part(hit(score=float("nan"))), "not finite"),
        (part(hit(entries=((1, 0, 1.0),))), "outside the run"),
        (part(hit(entries=((-1, 0, 1.0),))), "outside the run"),
        (part(hit(entries=((0, 6, 1.0),))), "outside the run"),
        (part(hit(entries=((0, -1, 1.0),))), "outside the run"),
        (part(hit(peak=6)), "outside the run"),
        (part(hit(peak=-1)), "outside the run"),
        (part(hit(place=(2, 0, 0))), "outside the run"),
        (part(hit(place=(-1, 0, 0))), "outside the run"),
        (part(hit(place=(0, -1, 0))), "outside the run"),
        (part(hit(place=(0, 0, -1))), "outside the run"),
    ],
)
def test_hits_that_do_not_fit_are_refused(given, said):
    with pytest.raises(ShapeError, match=said):
        check_hits(PLAN, given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": "another"}, "partition that the run does not have"),
        ({"partition": 2}, "partition that the run does not have"),
        ({"partition": -1}, "partition that the run does not have"),
        ({"batches": -1}, "negative length"),
    ],
)
def test_ends_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ShapeError, match=said):
        check_end(PLAN, replace(SourceEnd(PLAN.id, 0, 1, 4), **changes))


def test_states_of_this_run_pass():
    for shard in range(PLAN.run.shards):
        for bucket in PLAN.buckets_of(shard):
            check_state(PLAN, new_bucket(PLAN, shard, bucket))


def longer(array):
    return np.append(array, array[:1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": "another"}, "bucket 0 in shard 0 is that of run id another"),
        ({"shard": 1}, "belongs to no shard"),
        ({"shard": 99}, "belongs to no shard"),
        ({"shard": -1}, "belongs to no shard"),
        ({"bucket": -1}, "belongs to no shard"),
        ({"bucket": 10**6}, "belongs to no shard"),
        ({"counts": longer(START.counts)}, "another layout than the run's"),
        ({"counts": START.counts[:, None]}, "another layout than the run's"),
        ({"sums": longer(START.sums)}, "another layout than the run's"),
        ({"sums": START.sums[:, None]}, "another layout than the run's"),
        ({"low": START.low[1:]}, "another layout than the run's"),
        ({"high": longer(START.high)}, "another layout than the run's"),
        ({"chain": longer(START.chain)}, "other source partitions"),
        ({"batches": START.batches[:1]}, "other source partitions"),
        ({"chain": START.chain[:, None]}, "other source partitions"),
        ({"hits": columns([hit(table=CLUSTERS * PLAN.tables)])}, "hits: table"),
        ({"hits": replace(no_hits(), peak=np.zeros(1, np.int32))}, "different lengths"),
        ({"keyed": (keyed(),)}, "keyed sums that the run does not have"),
        ({"names": (KeyNames(0, ("web",)),)}, "keyed sums that the run does not have"),
    ],
)
def test_a_state_of_another_run_or_layout_is_refused(changes, said):
    with pytest.raises(ShapeError, match=said):
        check_state(PLAN, replace(START, **changes))


def test_a_state_of_the_same_run_with_other_settings_is_refused():
    other = factories.plan(k=4)
    with pytest.raises(ShapeError, match="is that of run id"):
        check_state(other, START)


def test_keyed_sums_are_those_of_the_bucket_in_order():
    statistics_kept = (*PLAN.run.statistics, *optional_statistics(("domains",)))
    plan = factories.plan(statistics=statistics_kept)
    number, columns = next(
        (number, place.columns)
        for number, place in enumerate(plan.layout.keyed)
        if place.per == "cluster"
    )

    clusters = len(plan.clusters_of(0))
    bucket = {"run": plan.id, "first": 0, "stop": plan.buckets_of(0).stop}

    def check(*sums):
        check_statistics(plan, statistics(tallies=(tally(keyed=sums),), **bucket))
        check_state(plan, replace(new_bucket(plan, 0, 0), keyed=sums))

    check(keyed(number, range(clusters), columns))
    for wrong, said in (
        ((keyed(number, (clusters,), columns),), f"a cluster beyond {clusters}"),
        ((keyed(number, (0,), columns + 1),), "values do not fit their keys"),
        ((keyed(number, (0, 0), columns),), "not in ascending order"),
        ((keyed(len(plan.layout.keyed), (0,), columns),), "that the run does not have"),
        ((keyed(number, (0,), columns),) * 2, "out of order"),
    ):
        with pytest.raises(ShapeError, match=said):
            check_statistics(plan, statistics(tallies=(tally(keyed=wrong),), **bucket))
        with pytest.raises(ShapeError, match=said):
            check_state(plan, replace(new_bucket(plan, 0, 0), keyed=wrong))
