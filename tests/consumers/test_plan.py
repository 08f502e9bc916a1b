import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.plan import ENTRY_BYTES, HIT_BYTES, make_plan
from consumers.run_clusters import activity_of
from consumers.statistics.accumulators import SUM_BYTES
from consumers.statistics.registry import optional_statistics
from streams.errors import RunError
from streams.records.runs import RunRecord
from streams.wire import codec
from tests import factories
from tests.streams.same import bits
from tests.streams.strategies import quick


@st.composite
def runs(draw):
    """Runs of one to three sources, with clusterings that overlap and components dropped."""
    sources = []
    for number in range(draw(st.integers(1, 3))):
        components = draw(st.integers(1, 9))
        dropped = draw(st.sets(st.integers(0, components - 1)))
        sources.append(
            factories.source(
                f"s{number}",
                components=components,
                dropped=tuple(sorted(dropped)),
                singles=draw(st.booleans()) or number == 0,
                coactivation=draw(st.booleans()),
                threshold=draw(st.sampled_from([0.0, 1.0])),
                sign=draw(st.sampled_from(["value", "absolute", "positive", "negative"])),
            )
        )
    known = [(s, i) for s, source in enumerate(sources) for i in range(source.components)]
    members = st.lists(st.sampled_from(known), max_size=5, unique=True)
    clusterings = [
        factories.clustering(
            {f"c{i}": listed for i, listed in enumerate(draw(st.lists(members, max_size=4)))},
            f"clustering-{number}",
            coactivation=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    return factories.run_record(
        sources=tuple(sources),
        clusterings=tuple(clusterings),
        shards=draw(st.integers(1, 12)),
        bucket_bytes=draw(st.sampled_from([1, 3000, 9000, 10**6])),
        rankings=draw(st.sampled_from([("maximum",), ("maximum", "last")])),
        edges=np.arange(draw(st.integers(0, 3)), dtype=np.float32),
    )


@quick
@given(runs())
def test_every_cluster_is_in_one_bucket_and_every_bucket_in_one_shard(run):
    plan = make_plan(run)
    buckets = [b for shard in range(run.shards) for b in plan.buckets_of(shard)]
    assert buckets == list(range(len(plan.bucket_first) - 1))
    assert all(len(plan.buckets_of(shard)) for shard in range(run.shards))
    clusters = [c for bucket in buckets for c in plan.clusters_of(bucket)]
    assert clusters == list(range(plan.clusters))


@quick
@given(runs())
def test_counters_cover_each_block_and_never_overlap(run):
    plan = make_plan(run)
    taken = np.concatenate([np.arange(at, at + n) for at, n, _ in slow_counters(plan)])
    assert sorted(taken.tolist()) == list(range(int(plan.layout.sum_first[-1])))


@quick
@given(runs())
def test_counters_lie_in_the_block_of_their_bucket(run):
    plan = make_plan(run)
    assert plan.layout.sum_first[0] == 0
    for at, width, bucket in slow_counters(plan):
        assert plan.layout.sum_first[bucket] <= at
        assert at + width <= plan.layout.sum_first[bucket + 1]


def slow_counters(plan):
    """Return the address, width and bucket of every counter, one cluster at a time."""
    found, at = [], plan.layout.at
    for bucket in range(len(plan.bucket_first) - 1):
        for cluster in plan.clusters_of(bucket):
            where = next(c for c in plan.clusterings if c.first <= cluster < c.stop)
            size = int(plan.member_first[cluster + 1] - plan.member_first[cluster])
            found += [
                (at("activation.tokens")[cluster], 1, bucket),
                (at("activation.rows")[cluster], 1, bucket),
            ]
            found.append((at("activation.bins")[cluster], len(plan.run.edges) + 1, bucket))
            if where.coactivation:
                found.append((at("coactivation.tokens")[cluster], where.stop - where.first, bucket))
            else:
                assert at("coactivation.tokens")[cluster] == -1
            if size > 1:
                found.append(
                    (at("member_coactivation.tokens")[cluster], size * (size + 1) // 2, bucket)
                )
            else:
                assert at("member_coactivation.tokens")[cluster] == -1
        for component in range(*plan.owned_first[bucket : bucket + 2]):
            found.append((at("activation.feature_tokens")[component], 1, bucket))
    return found


@quick
@given(runs())
def test_members_are_the_live_ones_in_the_order_given(run):
    plan = make_plan(run)
    listed = [[(s, i)] for s, x in enumerate(run.sources) if x.singles for i in range(x.components)]
    for given_one in run.clusterings:
        named = iter(zip(given_one.source.tolist(), given_one.index.tolist(), strict=True))
        listed += [[next(named) for _ in range(n)] for n in given_one.sizes]
    first = np.cumsum([0, *(source.components for source in run.sources)])
    for cluster, pairs in enumerate(listed):
        everyone = [int(first[s]) + i for s, i in pairs]
        live = [int(first[s]) + i for s, i in pairs if i not in run.sources[s].dropped]
        at = slice(*plan.member_first[cluster : cluster + 2])
        assert plan.members[at].tolist() == live
        assert plan.listed[slice(*plan.listed_first[cluster : cluster + 2])].tolist() == everyone
    assert len(listed) == plan.clusters


@quick
@given(runs())
def test_the_plan_follows_from_the_bytes_of_the_record(run):
    again = make_plan(codec.decode(RunRecord, codec.encode(run)))
    assert bits(again) == bits(make_plan(run))


@quick
@given(runs())
def test_a_bucket_is_within_its_bytes_unless_it_is_one_cluster(run):
    plan = make_plan(run)
    for bucket in range(len(plan.bucket_first) - 1):
        clusters = plan.clusters_of(bucket)
        assert len(clusters) < 2 or sum(slow_bytes(plan, c) for c in clusters) <= run.bucket_bytes


def slow_bytes(plan, cluster):
    """Return the most that a cluster can take: its counters and k dense rows per ranking."""
    run = plan.run
    where = next(c for c in plan.clusterings if c.first <= cluster < c.stop)
    size = int(plan.member_first[cluster + 1] - plan.member_first[cluster])
    counters = 2 + len(run.edges) + 1 + 2
    counters += (where.stop - where.first) * where.coactivation
    counters += size * (size + 1) // 2 if size > 1 else 0
    hits = len(run.ranking_names) * run.k * (HIT_BYTES + ENTRY_BYTES * run.context * size)
    return SUM_BYTES * counters + hits


def test_a_cluster_that_cannot_fit_is_refused_with_the_sum():
    # 2 rankings x 3 hits x (64 + 8 x 6 positions x 3 members) + 8 x (2 + 2 + 66 bins + 2 + 6 pairs)
    need = 2 * 3 * (64 + 8 * 6 * 3) + 8 * (2 + 2 + 66 + 2 + 6)
    factories.plan(record_bytes=need + 8, bucket_bytes=1)  # 8: the component that it counts
    said = (
        rf"cluster 'b' of groups can take {need:,} bytes .* 0 for sums by key.* {need - 1:,}: lower"
    )
    with pytest.raises(RunError, match=said):
        factories.plan(record_bytes=need - 1, bucket_bytes=1)


def test_components_that_cannot_fit_beside_few_clusters_are_refused_with_the_sum():
    source = factories.source(components=10_000, singles=False)
    factories.plan(sources=(source,), shards=1, record_bytes=100_000)
    with pytest.raises(RunError, match=r"bucket 0 .* 80,000 for the components .* holds 50,000"):
        factories.plan(sources=(source,), shards=1, record_bytes=50_000)


def test_sums_by_key_that_cannot_fit_are_refused_with_the_sum():
    def plan(record_bytes, name):
        statistics = (*factories.run_record().statistics, *optional_statistics((name,)))
        return factories.plan(statistics=statistics, record_bytes=record_bytes)

    need = 36 * (1 + 4 * 2**16)  # cells of a sketch: a key, a count, a sum and a largest number
    plan(2 * need, "tokens=sketch:65536")
    with pytest.raises(
        RunError, match=rf"and {need:,} for sums by key\), one record holds {need:,}"
    ):
        plan(need, "tokens=sketch:65536")
    texts = 2 * 4096 * 804  # of the domains, by cluster and in all
    plan(texts + 2**20, "domains=budget:4096")
    with pytest.raises(RunError, match=rf"and {texts:,} for the texts of keys, one record"):
        plan(texts, "domains=budget:4096")


def test_a_run_without_a_cluster_is_refused():
    with pytest.raises(RunError, match="the run has no cluster"):
        factories.plan(sources=(factories.source(singles=False),), clusterings=())


def test_pairs_beyond_the_limit_are_not_counted():
    source = factories.source(components=600)
    listed = {"some": [(0, i) for i in range(511)], "many": [(0, i) for i in range(512)]}
    plan = factories.plan(sources=(source,), clusterings=(factories.clustering(listed),))
    assert plan.layout.at("member_coactivation.tokens")[600] >= 0
    assert plan.layout.at("member_coactivation.tokens")[601] == -1


@pytest.mark.parametrize(
    ("sign", "activity"),
    [
        ("value", [2.0, -2.0, 0.0]),
        ("positive", [2.0, -2.0, 0.0]),
        ("negative", [-2.0, 2.0, 0.0]),
        ("absolute", [2.0, 2.0, 0.0]),
    ],
)
def test_a_sign_makes_a_value_an_activity(sign, activity):
    plan = factories.plan(sources=(factories.source(sign=sign),), clusterings=())
    found, fires = activity_of(plan, np.zeros(3, np.int64), np.array([2.0, -2.0, -0.0], np.float32))
    assert found.tolist() == activity
    assert fires.tolist() == [a > 0 for a in activity]


def test_a_component_fires_only_beyond_its_threshold():
    plan = factories.plan(sources=(factories.source(threshold=0.5),))
    value = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    assert activity_of(plan, np.zeros(2, np.int64), value)[1].tolist() == [False, True]


def test_components_have_the_label_of_their_source():
    plan = factories.plan(sources=(factories.source("a"), factories.source("b", components=2)))
    assert [plan.component_label(c) for c in (0, 11, 12, 13)] == ["a:0", "a:11", "b:0", "b:1"]
