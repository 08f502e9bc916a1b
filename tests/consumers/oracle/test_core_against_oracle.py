"""The whole functional core, from batches to tables, equals the oracle's content."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from consumers.snapshots import tables
from consumers.snapshots.ranked_hits import shard_hits
from consumers.snapshots.samples import sample_of, samples_table
from streams.records.corpus import TokenBatch
from streams.records.measures import statistics
from streams.records.partials import BucketState
from streams.snapshots.content import content_hash
from tests import factories
from tests.consumers.default_measures import default_measures
from tests.consumers.folding import folded_states


def service(plan: Plan, engine: Any, given: Sequence[TokenBatch], shuffle: int) -> dict[str, Any]:
    """Run the core over batches and return its tables."""
    return dashboard(plan, folded_states(plan, engine, given, shuffle), given)


def dashboard(
    plan: Plan, states: Sequence[BucketState], given: Sequence[TokenBatch]
) -> dict[str, Any]:
    hits = shard_hits(plan, states)
    by_place = {(b.partition, b.sequence): b for b in given}
    places = set(
        zip(hits.partition.tolist(), hits.sequence.tolist(), hits.row.tolist(), strict=True)
    )
    return {
        **dict(tables.statistics_tables(plan, states)),
        "hits": tables.hits_table(plan, hits),
        "samples": samples_table({p: sample_of(by_place[p[:2]], p[2]) for p in places}),
        "totals": tables.totals_table(states[0]),
        "vocabulary": tables.vocabulary_table([b"a", b"b"]),
    }


RUNS: dict[str, Any] = {
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
    "no co-activation": {"statistics": statistics()[:2]},
    "everything masked": {"masked_positions": np.arange(6)},
    "every ranking": {
        "rankings": (
            "maximum=4",
            "last",
            "mean=1",
            "sum",
            "minimum",
            "random=5",
            "intervals=1",
            "shared=2",
        ),
        "sources": (
            factories.source(),
            factories.source("neurons", sign="absolute", components=3),
        ),
    },
    "by default": {**default_measures(clusters=14, k=3), "bucket_bytes": 10**5},
    "k of one": {"k": 1, "rankings": ("maximum",)},
    "k larger than the corpus": {"k": 1000, "bucket_bytes": 10**7},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RUNS)
def test_tables_have_the_content_of_the_oracle(name: str, seed: int) -> None:
    plan = factories.plan(**RUNS[name])
    engine = factories.DenseEngine(plan, seed)
    given = factories.with_domains(factories.batches(seed=seed))
    oracle = Oracle(plan, engine)
    for batch in given:
        oracle.add(batch)
    expected = oracle.tables([b"a", b"b"])
    got = service(plan, engine, given, shuffle=seed)
    for table, content in expected.items():
        assert got[table].to_pylist() == content.to_pylist(), table
    assert content_hash(got, plan.forms) == content_hash(expected, plan.forms)


@pytest.mark.parametrize("changes", [{}, {"shards": 7, "bucket_bytes": 10**6}])
def test_shards_and_buckets_do_not_matter(changes: dict[str, Any]) -> None:
    given = factories.batches(seed=9)
    plan, other = factories.plan(), factories.plan(**changes)
    first = service(plan, factories.DenseEngine(plan), given, shuffle=1)
    second = service(other, factories.DenseEngine(other), given, shuffle=2)
    assert content_hash(first) == content_hash(second)
