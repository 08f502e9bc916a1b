from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.aggregation.shards import new_bucket
from consumers.health.stall import Stall, UnfilledGap, gaps, reached
from streams.records.partials import BucketState
from tests import factories


def state(bucket: int, chain: list[int], batches: list[int]) -> BucketState:
    empty = new_bucket(factories.plan(), 0, bucket)
    return replace(empty, chain=np.array(chain), batches=np.array(batches))


def test_a_worker_with_work_and_no_progress_stalls_after_the_limit():
    stall = Stall(limit=10).after(0, lag=5, done=1).after(9, lag=5, done=1)
    assert not stall.lasts(9)
    assert stall.lasts(10)


def test_progress_begins_the_time_anew():
    stall = Stall(limit=10).after(0, lag=5, done=1).after(9, lag=5, done=2)
    assert not stall.after(18, lag=5, done=2).lasts(18)
    assert stall.after(19, lag=5, done=2).lasts(19)


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted))
def test_a_worker_without_work_never_stalls(times: list[float]):
    stall = Stall(limit=1)
    for now in times:
        stall = stall.after(now, lag=0, done=0)
        assert not stall.lasts(now)


def test_growing_lag_is_no_progress():
    stall = Stall(limit=10).after(0, lag=5, done=1).after(9, lag=50, done=1)
    assert stall.after(10, lag=60, done=1).lasts(10)


def test_no_limit_never_ends():
    assert not Stall(limit=0).after(0, lag=5, done=1).after(1e9, lag=5, done=1).lasts(1e9)


def test_batches_after_the_chain_are_missing_once_the_end_is_known():
    found = list(gaps([state(0, [4, 3], [5, -1]), state(1, [4, 9], [9, 10])]))
    assert found == [UnfilledGap(0, 1, partition=0, last=4, batches=9)]


def test_a_gap_is_named_with_what_to_do():
    sentence = UnfilledGap(2, 7, partition=1, last=4, batches=9).sentence("night")
    assert "shard 2, bucket 7" in sentence
    assert "partition 1 up to batch 4 and lacks batch 5 of 9" in sentence
    assert "`millrace repair --run night`" in sentence


def test_a_shard_has_reached_what_all_its_buckets_have():
    assert reached([state(0, [4, 9], [5, -1]), state(1, [3, 11], [9, 10])]) == (3, 9)
