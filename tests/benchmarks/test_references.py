"""The slow references against examples worked out by hand, plain Python, and the product."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import storing
from benchmarks.extraction import Extraction, examples, integer_keys, rows_where_positive
from benchmarks.references.features import (
    POSITIONS,
    Deferred,
    add_sequentially,
    add_vectorised,
    best_first,
    build,
    empty,
    full,
    positive_samples,
    shown,
)
from benchmarks.references.same import assert_same_bits
from benchmarks.references.storing import (
    TokenMajor,
    store_at_once,
    store_copying,
    store_extending,
    store_hoisted,
    usable,
)
from benchmarks.references.storing import empty as no_rows
from consumers.activations.engine import Activations
from consumers.selection.selection import valid_tokens
from tests import factories
from tests.streams.strategies import quick

FEATURES, CONTEXT, ROWS, K = 3, 7, 4, 2
LOOPS = [store_copying, store_hoisted, store_at_once, store_extending]
loops = pytest.mark.parametrize("store", LOOPS)


@loops
def test_what_is_stored_is_what_was_worked_out(store):
    clusters = torch.zeros(2, 3, 2)  # sample, position, cluster
    components = torch.zeros(2, 3, 1)
    clusters[1, 2, 1] = components[1, 2, 0] = 4.0
    keys, tokens = [b"a", b"b"], [["x", "y", "z"], ["u", "v", "w"]]
    batch = TokenMajor(clusters, components, [[None], [None, 0]], keys, tokens)
    lists = no_rows(batch.column)
    for _ in range(2):
        store(lists, batch)
    silent, firing = usable(lists)
    assert (silent.keys, silent.members) == ([], {})
    assert firing.keys == [b"a", b"b", b"a", b"b"]
    assert firing.rows.tolist() == [[0, 0, 0], [0, 0, 4]] * 2
    assert {m: rows.tolist() for m, rows in firing.members.items()} == {1: firing.rows.tolist()}
    assert firing.member_keys == {1: firing.keys}
    assert lists.tokens == [[], tokens * 2]


@loops
def test_views_of_the_batch_are_kept_and_copied_only_when_used(store):
    clusters = torch.ones(1, 2, 1)
    lists = no_rows([[]])
    store(lists, TokenMajor(clusters, torch.zeros(1, 2, 0), [[]], [b"a"], [["x", "y"]]))
    (before,) = usable(lists)
    clusters += 1
    assert (before.rows.tolist(), usable(lists)[0].rows.tolist()) == ([[1, 1]], [[2, 2]])


def test_the_best_samples_of_a_feature_are_those_worked_out():
    rows = torch.tensor([[[1.0], [3.0], [3.0]], [[3.0], [0.0], [0.5]], [[-1.0], [0.0], [-2.0]]])
    heaps = empty(1, k=2)
    add_sequentially(heaps, rows, [7, 5, 1])
    assert heaps.positive == [2]
    (found,) = best_first(heaps)
    assert [(e.score, -e.after, e.peak) for e in found] == [(3.0, 5, 0), (3.0, 7, 1)]
    assert [e.positions for e in found] == [(0, 2), (1, 2, 0)]
    assert [e.values for e in found] == [(3.0, 0.5), (3.0, 3.0, 1.0)]


def test_a_heap_that_is_full_takes_only_what_is_better():
    heaps = full([[(2.0, 5), (3.0, 1)]], k=2)
    add_sequentially(heaps, torch.tensor([[[2.0]], [[1.0]], [[2.0]]]), [6, 0, 4])
    assert [(e.score, -e.after) for e in best_first(heaps)[0]] == [(3.0, 1), (2.0, 4)]


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_two_ways_to_the_best_samples_agree(seed, k):
    random = np.random.default_rng(seed)
    rows = np.maximum(random.standard_normal((5, CONTEXT, FEATURES)), 0).astype(np.float32)
    heaps, deferred = empty(FEATURES, k), Deferred()
    for part, keys in ((rows[:2], [4, 2]), (rows[2:], [9, 1, 3])):
        add_sequentially(heaps, torch.from_numpy(part), keys)
        add_vectorised(deferred, torch.from_numpy(part), keys)
    assert shown(deferred, build(deferred, k)) == best_first(heaps)
    assert positive_samples(deferred) == heaps.positive


@quick
@given(st.integers(0, 2**32 - 1))
def test_ours_makes_the_tables_of_the_loop_with_ties_everywhere(seed):
    """Few values, so that scores tie between samples and within rows; some rows come twice."""
    random = np.random.default_rng(seed)
    source = factories.source(components=FEATURES, coactivation=False)
    plan = factories.plan(
        sources=(source,), clusterings=(), rankings=("maximum",), k=K, context=CONTEXT
    )
    extraction, heaps = Extraction(plan), empty(FEATURES, K)
    for number in range(3):
        batch = factories.batch(
            random.integers(1, 50, (ROWS, CONTEXT)), [CONTEXT] * ROWS, sequence=number
        )
        values = random.choice(np.array([0, 0, 1, 2, 3], np.float32), (ROWS, CONTEXT, FEATURES))
        component, row, position = np.nonzero(values.transpose(2, 0, 1))
        activations = Activations(
            component,
            row.astype(np.int32),
            position.astype(np.int32),
            values[row, position, component],
        )
        valid = valid_tokens(plan, batch)
        extraction.add(batch, valid, activations)
        extraction.add(replace(batch, sequence=number + 3), valid, activations)
        extraction.tallies.pop()  # a sample that comes twice counts twice, the heap has it once
        add_sequentially(heaps, torch.from_numpy(values), integer_keys(batch.keys))
    assert examples(extraction.tables(), FEATURES) == best_first(heaps)
    assert rows_where_positive(plan, extraction.tallies) == heaps.positive
    assert max(len(e.positions) for heap in heaps.heaps for e in heap) <= POSITIONS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2, np.float32), np.array([0, -0.0], np.float32)),
        (np.zeros(2, np.float32), np.zeros(2)),
        (np.zeros((1, 2)), np.zeros((2, 1))),
    ],
)
def test_bits_dtypes_and_shapes_are_compared(one, other):
    assert_same_bits(one, one.copy())
    with pytest.raises(AssertionError):
        assert_same_bits(one, other)


def test_a_quick_run_leaves_a_report_of_positive_numbers(tmp_path, capsys):
    storing.main(quick=True, folder=tmp_path)
    (path,) = tmp_path.glob("*.json")
    report = json.loads(path.read_text())
    numbers = [v["median"] for row in report["rows"] for v in row.values() if isinstance(v, dict)]
    assert numbers
    assert all(0 < number < math.inf for number in numbers)
    copied = {row["way"]: row["MiB"] for row in report["tables"]["Peak memory"]}
    assert copied["R1f"] > copied["R1"]
    slow = [row["function"] for row in report["tables"]["Profile"] if row["way"] == "R0"]
    assert "storing.store_copying" in slow
    assert path.with_suffix(".md").read_text() in capsys.readouterr().out
