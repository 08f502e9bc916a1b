"""Blocks against the loops over lists, and the best samples against a sort of everything."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.references.same import assert_same_stored, assert_same_top, stored_in
from benchmarks.references.storing import (
    empty,
    store_copying,
    store_extending,
    store_hoisted,
    token_major,
    usable,
)
from benchmarks.references.top_samples import best_samples
from consumers.storage.blocks import Blocks, DenseBatch, Members
from consumers.storage.top_blocks import TopBlocks
from tests.streams.same import there
from tests.streams.strategies import quick

COMPONENTS, POSITIONS = 4, 3
_VALUES = [0.0, 0.0, 0.0, -0.0, -1.0, 0.25, 0.5, 0.5, 1.0]
_KEYS = [0, 1, 2**63, 2**64 - 1]


@st.composite
def workloads(draw, value=st.sampled_from(_VALUES), most_samples=4):
    """Draw clusters, some empty and some that share components, and batches for them."""
    listed = st.lists(st.integers(0, COMPONENTS - 1), max_size=3, unique=True)
    groups = draw(st.lists(listed, min_size=1, max_size=4))
    first = np.r_[0, np.cumsum([len(group) for group in groups])]
    members = Members(first, np.array([c for group in groups for c in group], np.int64))
    batches = [
        draw(batches_of(members, place, value, most_samples))
        for place in draw(st.permutations(range(draw(st.integers(1, 3)))))
    ]
    return members, batches


@st.composite
def batches_of(draw, members, place, value, most_samples):
    samples = draw(st.integers(1, most_samples))
    shape = (COMPONENTS, samples, POSITIONS)
    size = int(np.prod(shape))
    components = np.array(draw(st.lists(value, min_size=size, max_size=size)), np.float32)
    keys = st.lists(st.sampled_from(_KEYS), min_size=samples, max_size=samples)
    return dense(
        members,
        components.reshape(shape),
        np.array(draw(keys), np.uint64),
        np.array(draw(keys), np.uint64),
        *divmod(place, 2),
    )


def dense(members, components, high, low, partition=0, sequence=0):
    """Return a batch with clusters as the maxima of their members; what is all zero is dead."""
    clusters = np.zeros((len(members.first) - 1, *components.shape[1:]), np.float32)
    for cluster, (a, b) in enumerate(zip(members.first[:-1], members.first[1:], strict=True)):
        if a < b:
            clusters[cluster] = components[members.component[a:b]].max(axis=0)
    alive = (components != 0).any(axis=(1, 2))
    return DenseBatch(clusters, components, alive, high, low, partition, sequence)


@pytest.mark.parametrize("store", [store_copying, store_hoisted, store_extending])
@quick
@given(workloads(), st.integers(1, 200))
def test_blocks_hold_what_the_loops_over_lists_hold(store, workload, chunk):
    members, batches = workload
    blocks, lists = Blocks(members, chunk), None
    for batch in batches:
        blocks.append(batch)
        other = token_major(batch, members)
        lists = lists or empty(other.column)
        store(lists, other)
    assert_same_stored(stored_in(blocks, members), usable(there(lists)))


@quick
@given(workloads(), st.integers(1, 200))
def test_storage_is_used_again_after_clear(workload, chunk):
    members, batches = workload
    fresh, used = Blocks(members, chunk), Blocks(members, chunk)
    for batch in batches[::-1]:
        used.append(batch)
    used.clear()
    for batch in batches:
        fresh.append(batch)
        used.append(batch)
    assert_same_stored(stored_in(used, members), stored_in(fresh, members))


def test_clear_leaves_no_hole_in_the_storage():
    members = Members(np.array([0, 2, 3]), np.array([3, 0, 1]))
    one = random_batch(members, samples=2)
    blocks = Blocks(members, chunk=100)
    places = []
    for _ in range(2):
        blocks.append(one)
        places.append(blocks.of(0)[0].own.ctypes.data)
        blocks.clear()
    assert places[0] == places[1]


def test_a_cluster_below_zero_is_kept_and_is_no_hit():
    members = Members(np.array([0, 1]), np.array([0]))
    components = np.full((COMPONENTS, 1, POSITIONS), -1, np.float32)
    batch = dense(members, components, np.zeros(1, np.uint64), np.zeros(1, np.uint64))
    blocks, top = Blocks(members), TopBlocks(members, 1, POSITIONS)
    blocks.append(batch)
    top.add(batch)
    assert [block.own.tolist() for block in blocks.of(0)] == [[[-1.0] * POSITIONS]]
    assert len(top.of(0).score) == 0


def test_views_are_contiguous_and_stay_when_storage_grows():
    members = Members(np.array([0, 2, 3]), np.array([3, 0, 1]))
    one = random_batch(members, samples=2)
    blocks = Blocks(members, chunk=100)
    blocks.append(one)
    (before,) = blocks.of(0)
    for _ in range(20):
        blocks.append(one)
    (after, *_) = blocks.of(0)
    for view in (after.own, after.rows):
        assert view.flags.c_contiguous
    assert np.shares_memory(before.rows, after.rows)
    assert after.rows.tolist() == one.components[[3, 0]].tolist()


@quick
@given(workloads(), st.integers(1, 3), st.data())
def test_the_best_samples_are_those_of_a_sort_for_any_order_and_replays(workload, k, data):
    members, batches = workload
    numbers = st.integers(0, len(batches) - 1)
    again = data.draw(st.lists(numbers, max_size=3))
    order = data.draw(st.permutations([*range(len(batches)), *again]))
    top = TopBlocks(members, k, POSITIONS)
    for number in order:
        top.add(batches[number])
    assert_same_top(top, best_samples(batches, members, k))


@pytest.mark.parametrize("samples", [1, 128])
def test_batches_of_any_size(samples):
    members = Members(np.array([0, 2, 2, 4]), np.arange(4))
    batches = [random_batch(members, samples, seed) for seed in range(300 // samples + 2)]
    top, blocks = TopBlocks(members, 16, POSITIONS), Blocks(members)
    lists = empty(token_major(batches[0], members).column)
    for batch in batches:
        top.add(batch)
        blocks.append(batch)
        store_hoisted(lists, token_major(batch, members))
    assert_same_top(top, best_samples(batches, members, 16))
    assert_same_stored(stored_in(blocks, members), usable(lists))


def test_one_cluster_of_one_component():
    members = Members(np.array([0, 1]), np.array([2]))
    batches = [random_batch(members, 5, seed) for seed in range(4)]
    top = TopBlocks(members, 3, POSITIONS)
    for batch in batches:
        top.add(batch)
    assert_same_top(top, best_samples(batches, members, 3))
    assert top.of(0).rows.shape == (3, 2, POSITIONS)


def test_a_component_that_is_dead_in_a_batch_reads_zero_there():
    members = Members(np.array([0, 2]), np.array([0, 1]))
    components = np.ones((COMPONENTS, 1, POSITIONS), np.float32)
    batch = dense(members, components, np.zeros(1, np.uint64), np.zeros(1, np.uint64))
    batch.alive[1] = False
    top = TopBlocks(members, 1, POSITIONS)
    top.add(batch)
    assert top.of(0).rows[0].tolist() == [[1.0] * POSITIONS, [1.0] * POSITIONS, [0.0] * POSITIONS]


def test_what_is_compared_covers_every_column():
    """A column that the helpers forgot would make the tests above pass whatever it held."""
    members = Members(np.array([0, 1]), np.array([2]))
    batch = random_batch(members, 3)
    top = TopBlocks(members, 2, POSITIONS)
    top.add(batch)
    (expected,) = best_samples([batch], members, 2)
    for column in fields(expected):
        values = getattr(expected, column.name).copy()
        values.reshape(-1)[0] += 1
        changed = type(expected)(
            **{f.name: getattr(expected, f.name) for f in fields(expected)} | {column.name: values}
        )
        with pytest.raises(AssertionError):
            assert_same_top(top, [changed])


def random_batch(members, samples, seed=0):
    random = np.random.default_rng(seed)
    components = random.random((COMPONENTS, samples, POSITIONS), np.float32)
    components[components < 0.5] = 0
    components[seed % 8 == 3] = 0
    high, low = random.integers(0, 9, (2, samples)).astype(np.uint64)
    return dense(members, components, high, low, *divmod(seed, 5))
