"""Every registered ranking: however batches are split, ordered and repeated, the plain tables."""

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.aggregation.overlay import Overlay, partial
from consumers.oracle.oracle import Oracle
from consumers.plan import Plan, make_plan
from consumers.rankings.registry import RANKINGS, rankings
from consumers.selection.worker import ActivationWorker
from consumers.snapshots.ranked_hits import shard_hits
from consumers.snapshots.tables import hits_table
from streams import topics
from streams.records.corpus import TokenBatch
from streams.wire import codec
from tests import factories
from tests.consumers.on_device import OnDevice

NAMES = tuple(ranking.name.partition("@")[0] for ranking in RANKINGS)
SOURCES = (
    factories.source("sae", components=3),
    factories.source("both", components=3, sign="absolute", threshold=0.25, singles=False),
    factories.source("below", components=1, sign="negative"),
)
CLUSTERINGS = (
    factories.clustering({"a": [(0, 0), (1, 0)], "b": [(1, 0), (1, 1), (1, 2)], "c": [(2, 0)]}),
)


def plan_of(names: tuple[str, ...]) -> Plan:
    return factories.plan(
        sources=SOURCES,
        clusterings=CLUSTERINGS,
        rankings=names,
        k=2,
        shards=2,
        bucket_bytes=20_000,
        edges=np.array([0.5, 1.0, 1.5], np.float32),
    )


# Each with a k of its own, which is not that of its neighbour.
PLANS = {name: plan_of((name,)) for name in NAMES}
EVERY = plan_of(tuple(f"{name}={1 + number % 3}" for number, name in enumerate(NAMES)))


@st.composite
def corpora(draw: st.DrawFn) -> list[TokenBatch]:
    """Return batches of rows over few ids, so that samples repeat and scores are equal."""
    row = st.tuples(st.lists(st.integers(1, 6), min_size=4, max_size=4), st.integers(1, 4))
    made = []
    for partition in range(2):
        parts = draw(st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=4))
        for sequence, rows in enumerate(parts):
            ids, lengths = zip(*rows, strict=True)
            made.append(factories.batch(ids, lengths, partition, sequence))
    return made


def served(plan: Plan, engine: Any, batches: list[TokenBatch], chance: random.Random) -> pa.Table:
    """Return the hits after two workers of each kind saw the batches, some of them twice.

    One selects on the host, the other on a device.
    """
    workers = [ActivationWorker(plan, engine), ActivationWorker(plan, OnDevice(engine))]
    free, chained = defaultdict(list), defaultdict(list)
    for batch in [*batches, *chance.choices(batches, k=2)]:
        headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(batch.sequence).encode()}
        worker = chance.choice(workers)
        for record in worker.handle(batch.partition, codec.encode(batch), headers).records:
            to = free if record.kind == topics.HITS else chained
            to[record.shard].append(record)
    states = []
    for shard in range(plan.run.shards):
        overlay = Overlay(plan, least_pending=chance.choice([0, 3, 1000]))
        overlay.load(shard, ())
        hits = [*free[shard], *chance.choices(free[shard] or [None], k=len(free[shard]))]
        chance.shuffle(hits)
        cut = chance.randrange(len(hits) + 1)
        for offset, record in enumerate([*hits[:cut], *chained[shard], *hits[cut:]]):
            overlay.apply(shard, offset, partial(plan, shard, record.kind, record.value))
            if chance.random() < 0.1:
                stored = [(key, value) for _, key, value in overlay.flush()]
                overlay.load(shard, [*_entries(overlay, shard), *stored])
        states += overlay.states(shard)
    return hits_table(plan, shard_hits(plan, states))


def _entries(overlay: Overlay, shard: int) -> list[tuple[bytes, bytes]]:
    return [
        (f"{shard}/{state.bucket}".encode(), codec.encode(state)) for state in overlay.states(shard)
    ]


def recomputed(plan: Plan, engine: Any, batches: list[TokenBatch]) -> pa.Table:
    oracle = Oracle(plan, engine)
    for batch in batches:
        oracle.add(batch)
    return oracle.tables([b"a"])["hits"]


def check(plan: Plan, batches: list[TokenBatch], seed: int) -> pa.Table:
    engine = factories.DenseEngine(plan, seed % 7, density=0.5)
    expected = recomputed(plan, engine, batches)
    assert served(plan, engine, batches, random.Random(seed)).to_pylist() == expected.to_pylist()
    return expected


@settings(max_examples=20)
@given(corpora(), st.integers(0, 2**16))
def test_all_at_once_are_the_recomputation_each_with_its_own_k(batches, seed):
    hits = check(EVERY, batches, seed).to_pylist()
    samples = [(hit["cluster"], hit["ranking"], hit["sample"]) for hit in hits]
    assert len(set(samples)) == len(samples)  # never a context twice
    assert all(hit["activations"] and hit["peak"] in hit["positions"] for hit in hits)


@pytest.mark.parametrize("name", NAMES)
@given(corpora(), st.integers(0, 2**16))
@settings(max_examples=5)
def test_alone_it_is_what_it_is_beside_others(name, batches, seed):
    alone = check(PLANS[name], batches[:3], seed)
    assert set(alone["ranking"].to_pylist()) <= {name}


def test_a_ranking_alone_has_the_table_that_it_has_beside_all_others():
    batches = factories.batches(seed=3)
    beside = plan_of(tuple(f"{name}=2" for name in NAMES))
    together = recomputed(beside, factories.DenseEngine(beside), batches).to_pylist()
    for name in NAMES:
        plan = plan_of((f"{name}=2",))
        alone = served(plan, factories.DenseEngine(plan), batches, random.Random(1)).to_pylist()
        assert alone == [hit for hit in together if hit["ranking"] == name]
        assert alone


def test_records_name_versions_and_a_k_each():
    found = rankings(("maximum", "random=7", "intervals", "last"), 20)
    assert [(each.name, each.parameters) for each in found] == [
        ("maximum@1", '{"k":20}'),
        ("random@1", '{"k":7}'),
        ("intervals@1", '{"k":5}'),
        ("last@1", '{"k":20}'),
    ]


def test_tables_of_a_cluster_follow_the_record():
    run = factories.run_record(rankings=("last=4", "intervals=2", "maximum=3"), edges=np.arange(3))
    plan = make_plan(run)
    assert plan.table_k.tolist() == [4, 2, 2, 2, 2, 3]
    places = [(each.name, each.first, each.stop) for each in plan.rankings]
    assert places == [("last", 0, 1), ("intervals", 1, 5), ("maximum", 5, 6)]
