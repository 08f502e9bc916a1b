"""The whole functional core, from batches to tables, equals the oracle's content."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from consumers.aggregation.shards import (
    Gap,
    check_hits,
    check_statistics,
    is_complete,
    new_bucket,
    with_end,
    with_hits,
    with_statistics,
)
from consumers.oracle.oracle import Oracle
from consumers.selection.messages import batch_records, end_records
from consumers.selection.selection import select, valid_tokens, with_rows
from consumers.selection.standing import Standing
from consumers.snapshots import tables
from consumers.snapshots.samples import sample_of, samples_table
from streams import codec, topics
from streams.content import content_hash
from streams.corpus import PartitionEnd, TokenBatch
from streams.partials import BucketState, HitsPart, SourceEnd, Statistics
from streams.plan import Plan
from tests import factories


def service(plan: Plan, engine: Any, given: Sequence[TokenBatch], shuffle: int) -> dict[str, Any]:
    """Run the core over batches: chained records in order, hits wherever ``shuffle`` puts them."""
    standing = Standing(plan.clusters * plan.criteria, plan.run.k)
    chained, free = [], []
    for batch in given:
        valid = valid_tokens(plan, batch)
        selection = select(plan, batch, valid, engine.compute(batch, valid))
        standing.see(selection.candidates)
        hits = with_rows(selection, np.flatnonzero(standing.unbeaten(selection.candidates)))
        for record in batch_records(plan, batch.partition, batch.sequence, selection.tally, hits):
            (free if record.kind == topics.HITS else chained).append(record)
    for partition in range(plan.run.partitions):
        count = sum(b.partition == partition for b in given)
        chained += end_records(plan, PartitionEnd("text", partition, count, 0, 0))
    random = np.random.default_rng(shuffle)
    free = [free[i] for i in random.integers(0, len(free), 2 * len(free))] + free
    states = fold(plan, [*free, *chained] if shuffle % 2 else [*chained, *free])
    return dashboard(plan, states, given)


def fold(plan: Plan, records: Sequence[Any]) -> list[BucketState]:
    states: list[Any] = [
        new_bucket(plan, shard, b)
        for shard in range(plan.run.shards)
        for b in plan.buckets_of(shard)
    ]
    for offset, record in enumerate(records):
        for bucket in plan.buckets_of(record.shard):
            states[bucket] = apply(plan, states[bucket], record, offset)
            assert not isinstance(states[bucket], Gap)
            states[bucket] = codec.decode(BucketState, codec.encode(states[bucket]))
    assert all(is_complete(state) for state in states)
    return states


def apply(plan: Plan, state: BucketState, record: Any, offset: int) -> Any:
    if record.kind == topics.HITS:
        part = codec.decode(HitsPart, record.value)
        check_hits(plan, part)
        return with_hits(plan, state, part.hits, offset)
    if record.kind == topics.SOURCE_END:
        return with_end(state, codec.decode(SourceEnd, record.value), offset)
    statistics = codec.decode(Statistics, record.value)
    check_statistics(plan, statistics)
    if state.bucket not in range(statistics.first, statistics.stop):
        return state
    tally = {t.bucket: t for t in statistics.tallies}.get(state.bucket)
    return with_statistics(state, statistics, tally, offset)


def dashboard(
    plan: Plan, states: Sequence[BucketState], given: Sequence[TokenBatch]
) -> dict[str, Any]:
    hits = tables.shard_hits(plan, states)
    by_place = {(b.partition, b.sequence): b for b in given}
    places = set(
        zip(hits.partition.tolist(), hits.sequence.tolist(), hits.row.tolist(), strict=True)
    )
    return {
        "clusters": tables.clusters_table(plan, states),
        "hits": tables.hits_table(plan, hits),
        "samples": samples_table({p: sample_of(by_place[p[:2]], p[2]) for p in places}),
        "coactivation": tables.coactivation_table(plan, states),
        "member_coactivation": tables.members_table(plan, states),
        "components": tables.components_table(plan, states),
        "totals": tables.totals_table(states[0]),
        "vocabulary": tables.vocabulary_table([b"a", b"b"]),
    }


RUNS = {
    "plain": {},
    "one shard": {"shards": 1, "bucket_bytes": 10**6},
    "more shards than clusters": {"shards": 40},
    "dropped and dead": {"sources": (factories.source(dropped=(2, 5, 3, 11)),)},
    "threshold": {"sources": (factories.source(threshold=1.0),)},
    "neurons": {
        "sources": (
            factories.source(),
            factories.source("neurons", sign="absolute", singles=False),
            factories.source("minus", sign="negative", components=3),
            factories.source("plus", sign="positive", components=3, coactivation=True),
        ),
        "clusterings": (
            factories.clustering({"x": [(1, 0), (1, 4), (2, 1), (0, 3)], "y": [(3, 2)]}),
            factories.clustering({"x": [(1, i) for i in range(12)]}, "all", coactivation=False),
        ),
    },
    "positions masked": {"masked_positions": np.array([0, 1])},
    "everything masked": {"masked_positions": np.arange(6)},
    "k of one": {"k": 1, "criteria": ("maximum",)},
    "k larger than the corpus": {"k": 1000, "bucket_bytes": 10**7},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RUNS)
def test_tables_have_the_content_of_the_oracle(name: str, seed: int) -> None:
    plan = factories.plan(**RUNS[name])
    engine = factories.DenseEngine(plan, seed)
    given = factories.batches(seed=seed)
    oracle = Oracle(plan, engine)
    for batch in given:
        oracle.add(batch)
    expected = oracle.tables([b"a", b"b"])
    got = service(plan, engine, given, shuffle=seed)
    for table, content in expected.items():
        assert got[table].to_pylist() == content.to_pylist(), table
    assert content_hash(got) == content_hash(expected)


@pytest.mark.parametrize("changes", [{}, {"shards": 7, "bucket_bytes": 10**6}])
def test_shards_and_buckets_do_not_matter(changes: dict[str, Any]) -> None:
    given = factories.batches(seed=9)
    plan, other = factories.plan(), factories.plan(**changes)
    first = service(plan, factories.DenseEngine(plan), given, shuffle=1)
    second = service(other, factories.DenseEngine(other), given, shuffle=2)
    assert content_hash(first) == content_hash(second)
