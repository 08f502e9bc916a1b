"""Selection against a slow twin: the same numbers by loops over dense activations."""

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.activations.engine import Activations
from consumers.selection.selection import select, valid_tokens, with_rows
from streams.errors import OverflowingSumError
from tests import factories
from tests.streams.same import bits
from tests.streams.strategies import plain, quick

SOURCES = (
    factories.source("sae", components=3, coactivation=True),
    factories.source("neurons", components=3, sign="absolute", threshold=0.5, singles=False),
    factories.source("minus", components=2, sign="negative", dropped=(1,)),
    factories.source("plus", components=2, sign="positive", threshold=0.25),
)
CLUSTERINGS = (
    factories.clustering(
        {"a": [(0, 0), (1, 1), (2, 0)], "b": [(1, 1), (1, 2), (3, 1), (0, 0)], "empty": []}
    ),
    factories.clustering({"x": [(2, 1)], "y": [(3, 0), (1, 0)]}, "more", coactivation=False),
)
EDGES = np.array([0.25, 0.5, 2.0], np.float32)
PLAN = factories.plan(sources=SOURCES, clusterings=CLUSTERINGS, edges=EDGES, sum_bits=3)
ROWS, POSITIONS = 3, 4


def sparse(plan, dense):
    """Return activations from dense values [component, row, position]."""
    component, row, position = np.nonzero(dense)
    value = dense[component, row, position].astype(np.float32)
    return Activations(component, row.astype(np.int32), position.astype(np.int32), value)


def selected(plan, batch, dense):
    """Return the selection of a batch with the values that are valid and not dropped."""
    valid = valid_tokens(plan, batch)
    dense = dense * valid
    for number, source in enumerate(plan.run.sources):
        for index in source.dropped:
            dense[plan.component_first[number] + index] = 0
    return select(plan, batch, valid, sparse(plan, dense)), valid, dense


def slow(plan, batch, valid, dense):
    """Return counts by address, sums, extremes and hits by loops over every token."""
    counts, sums, extremes, hits = defaultdict(int), defaultdict(int), {}, []
    fires, activity = {}, {}
    for component in range(plan.components):
        number = int(np.searchsorted(plan.component_first, component, side="right")) - 1
        source = plan.run.sources[number]
        for row in range(ROWS):
            for position in range(POSITIONS):
                value = float(dense[component, row, position])
                shown = {"negative": -value, "absolute": abs(value)}.get(source.sign, value)
                at = component, row, position
                activity[at] = shown
                fires[at] = bool(valid[row, position]) and value != 0 and shown > source.threshold
                counts[int(plan.layout.at("activation.feature_tokens")[component])] += fires[at]
    cluster_fires = {}
    for cluster in range(plan.clusters):
        members = members_of(plan, cluster)
        for row in range(ROWS):
            strongest = {}
            for position in range(POSITIONS):
                firing = [m for m in members if fires[m, row, position]]
                count_pairs(plan, cluster, members, firing, counts)
                cluster_fires[cluster, row, position] = bool(firing)
                if firing:
                    strongest[position] = max(activity[m, row, position] for m in firing)
            for value in strongest.values():
                counts[int(plan.layout.at("activation.tokens")[cluster])] += 1
                bin_ = sum(value >= edge for edge in plan.run.edges.tolist())
                counts[int(plan.layout.at("activation.bins")[cluster]) + bin_] += 1
                sums[cluster] += round(Fraction(value) * 2**plan.run.sum_bits)
                low, high = extremes.get(cluster, (value, value))
                extremes[cluster] = min(low, value), max(high, value)
            if strongest:
                counts[int(plan.layout.at("activation.rows")[cluster])] += 1
                hits += slow_hits(plan, batch, valid, cluster, row, strongest, dense)
    for clustering in plan.clusterings:
        inside = range(clustering.first, clustering.stop)
        for a in inside if clustering.coactivation else ():
            for b in inside:
                for row in range(ROWS):
                    for position in range(POSITIONS):
                        both = cluster_fires[a, row, position] and cluster_fires[b, row, position]
                        at = int(plan.layout.at("coactivation.tokens")[a]) + b - clustering.first
                        counts[at] += int(both and a != b)
    return {at: n for at, n in counts.items() if n}, dict(sums), extremes, sorted(hits)


def members_of(plan, cluster):
    return plan.members[slice(*plan.member_first[cluster : cluster + 2])].tolist()


def count_pairs(plan, cluster, members, firing, counts):
    at = int(plan.layout.at("member_coactivation.tokens")[cluster])
    for a in range(len(members)) if at >= 0 else ():
        for b in range(a, len(members)):
            counts[at] += members[a] in firing and members[b] in firing
            at += 1


def slow_hits(plan, batch, valid, cluster, row, strongest, dense):
    """Return the hits of a cluster in a row, one per ranking under which it fires."""
    highest = max(strongest.values())
    peaks = {
        "maximum": min(p for p, a in strongest.items() if a == highest),
        "last": max(p for p in range(POSITIONS) if valid[row, p]),
    }
    key = batch.keys[row].tobytes()
    words = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
    entries = tuple(
        (number, position, float(dense[member, row, position]))
        for number, member in enumerate(members_of(plan, cluster))
        for position in range(POSITIONS)
        if dense[member, row, position] != 0
    )
    return [
        (cluster * plan.tables + number, strongest[peak], *words, peak,
         batch.partition, batch.sequence, row, entries)
        for number, ranking in enumerate(plan.run.ranking_names)
        for peak in [peaks[ranking]]
        if peak in strongest
    ]  # fmt: skip


values = st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 0.5, -0.5, 0.8125, -1.1875, 2.0, -2.0, -0.1])


@st.composite
def cases(draw):
    count = PLAN.components * ROWS * POSITIONS
    dense = np.array(draw(st.lists(values, min_size=count, max_size=count)), np.float32)
    ids = draw(st.lists(st.integers(0, 2), min_size=12, max_size=12))
    lengths = draw(st.lists(st.integers(0, 4), min_size=3, max_size=3))
    masked = draw(st.sampled_from([(), (0,), (3,), (0, 1)]))
    batch = factories.batch(np.reshape(ids, (ROWS, POSITIONS)), lengths, 1, 7)
    plan = replace(PLAN, run=replace(PLAN.run, masked_positions=np.array(masked, np.int64)))
    return plan, batch, dense.reshape(PLAN.components, ROWS, POSITIONS)


@quick
@given(cases())
def test_counts_sums_extremes_and_hits_are_the_slow_twins(case):
    plan, batch, dense = case
    selection, valid, kept = selected(plan, batch, dense)
    counts, sums, extremes, hits = slow(plan, batch, valid, kept)
    tally = selection.tally
    assert dict(zip(tally.count_at.tolist(), tally.count.tolist(), strict=True)) == counts
    assert dict(zip(tally.moments.at.tolist(), tally.moments.sum.tolist(), strict=True)) == sums
    ends = zip(tally.moments.low.tolist(), tally.moments.high.tolist(), strict=True)
    assert dict(zip(tally.moments.at.tolist(), ends, strict=True)) == extremes
    found = with_rows(selection, np.arange(len(selection.candidates)))
    assert sorted(plain(found)) == hits
    found.check(plan.clusters * plan.tables)
    assert tally.tokens == int(valid.sum())
    assert tally.rows == int(valid.any(axis=1).sum())


@quick
@given(cases(), st.data())
def test_what_scores_too_little_is_no_candidate_and_counts_all_the_same(case, data):
    plan, batch, dense = case
    all_of_them, valid, kept = selected(plan, batch, dense.copy())
    tables = plan.clusters * plan.tables
    scores = st.sampled_from([-np.inf, 0.25, 0.5, 2.0, 3.0])
    least = np.array(data.draw(st.lists(scores, min_size=tables, max_size=tables)), np.float32)
    some = select(plan, batch, valid, sparse(plan, kept), least)
    hits = plain(with_rows(all_of_them, np.arange(len(all_of_them.candidates))))
    expected = [h for h in hits if h[1] >= least[h[0]]]
    assert plain(with_rows(some, np.arange(len(some.candidates)))) == expected
    assert bits(some.tally) == bits(all_of_them.tally)


@quick
@given(cases(), st.data())
def test_rows_are_those_of_the_hits_that_were_chosen(case, data):
    selection, _, _ = selected(*case)
    everything = plain(with_rows(selection, np.arange(len(selection.candidates))))
    some = st.lists(st.integers(0, len(everything) - 1)) if everything else st.just([])
    which = np.array(data.draw(some), np.int64)
    assert plain(with_rows(selection, which)) == [everything[i] for i in which]


@quick
@given(cases())
def test_addresses_ascend_without_doubles(case):
    tally = selected(*case)[0].tally
    assert (np.diff(tally.count_at) > 0).all()
    assert (np.diff(tally.moments.at) > 0).all()
    assert (tally.count > 0).all()


def test_a_batch_without_an_activation_counts_its_tokens_only():
    batch = factories.batch(np.ones((ROWS, POSITIONS)), [4, 2, 0])
    selection, _, _ = selected(PLAN, batch, np.zeros((PLAN.components, ROWS, POSITIONS)))
    assert (selection.tally.tokens, selection.tally.rows) == (6, 2)
    assert (
        len(selection.tally.count) == len(selection.tally.moments.at) == len(selection.candidates)
    )
    assert len(with_rows(selection, np.zeros(0, np.int64))) == 0


def test_activations_below_every_threshold_are_no_hits():
    batch = factories.batch(np.ones((ROWS, POSITIONS)), [4, 4, 4])
    dense = np.zeros((PLAN.components, ROWS, POSITIONS))
    dense[[3, 4, 8]] = 0.25  # two neurons and one of ``plus``, at and below their thresholds
    dense[[0, 6]] = [[[-1.0]], [[1.0]]]  # the wrong sign
    selection, _, _ = selected(PLAN, batch, dense)
    assert len(selection.candidates) == len(selection.tally.count) == 0


def test_a_masked_token_is_absent():
    plan = factories.plan(masked_ids=np.array([7]), masked_positions=np.array([1]))
    batch = factories.batch([[7, 2, 3, 4], [7, 7, 7, 7]], [3, 4])
    assert valid_tokens(plan, batch).tolist() == [[False, False, True, False], [False] * 4]


ONE_CLUSTER = {
    "sources": (factories.source(components=1),),
    "clusterings": (),
    "edges": EDGES,
    "sum_bits": 3,
    "shards": 1,
}
SINGLE = factories.plan(**ONE_CLUSTER)


def one_cluster(plan, tokens):
    """Return the tally of one row in which the only cluster has these activities."""
    batch = factories.batch([[1] * len(tokens)], [len(tokens)])
    dense = np.array(tokens, np.float32)[None, None]
    return select(plan, batch, valid_tokens(plan, batch), sparse(plan, dense)).tally


@pytest.mark.parametrize(
    ("tokens", "eighths"),
    [
        ([1.0], 8),
        ([1 / 16], 0),  # half an eighth goes to the even 0
        ([3 / 16], 2),  # one and a half goes to the even 2
        ([5 / 16], 2),
        ([1 / 16] * 6, 0),  # per token: six halves are not three
        ([3 / 16] * 6, 12),
        ([1 / 16 + 2.0**-20], 1),
        ([0.1, 0.1, 0.1], 3),
    ],
)
def test_sums_are_rounded_per_token_half_to_even(tokens, eighths):
    assert one_cluster(SINGLE, tokens).moments.sum.tolist() == [eighths]


@quick
@given(st.lists(st.floats(2.0**-60, 2.0**40, width=32), min_size=1, max_size=6))
def test_sums_are_exact_fractions_rounded(tokens):
    expected = sum(round(Fraction(t) * 8) for t in tokens)
    assert one_cluster(SINGLE, tokens).moments.sum.tolist() == [expected]


def test_an_activity_beyond_fixed_point_is_an_error_with_a_way_out():
    one_cluster(SINGLE, [2.0**58])
    with pytest.raises(OverflowingSumError, match=r"of 5.76461e\+17 .* fewer sum_bits"):
        one_cluster(SINGLE, [2.0**59])
    with pytest.raises(OverflowingSumError, match="too large for sums in units of"):
        one_cluster(SINGLE, [3.0e38])
    with pytest.raises(OverflowingSumError):
        one_cluster(SINGLE, [2.0**57] * 4)


def test_sums_of_several_clusters_may_be_large_together():
    sources = (factories.source("sae", components=40),)
    plan = factories.plan(sources=sources, clusterings=(), sum_bits=3, shards=1)
    batch = factories.batch([[1, 1]], [2])
    dense = np.full((40, 1, 2), 2.0**57, np.float32)
    with pytest.raises(OverflowingSumError):
        select(plan, batch, valid_tokens(plan, batch), sparse(plan, dense * 2))
    select(plan, batch, valid_tokens(plan, batch), sparse(plan, dense))


def test_histogram_bins_begin_at_their_edge():
    below = [float(np.nextafter(np.float32(edge), np.float32(0))) for edge in EDGES]
    tally = one_cluster(SINGLE, [*below, *EDGES.tolist(), 100.0])
    counts = dict(zip(tally.count_at.tolist(), tally.count.tolist(), strict=True))
    first = int(SINGLE.layout.at("activation.bins")[0])
    assert [counts.get(first + i, 0) for i in range(4)] == [1, 2, 2, 2]


def test_the_first_of_equal_peaks_counts():
    batch = factories.batch([[1, 1, 1]], [3])
    dense = np.array([[[1.0, 2.0, 2.0]]], np.float32)
    plan = factories.plan(**ONE_CLUSTER, rankings=("maximum",))
    valid = valid_tokens(plan, batch)
    found = select(plan, batch, valid, sparse(plan, dense)).candidates
    assert (found.peak.tolist(), found.score.tolist()) == ([1], [2.0])
