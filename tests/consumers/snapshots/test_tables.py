import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from consumers.aggregation.shards import new_bucket
from consumers.plan import Plan, make_plan
from consumers.snapshots import tables
from consumers.snapshots.ranked_hits import shard_hits
from streams.records.hits import Hits, best, join, take
from streams.records.partials import BucketState
from streams.snapshots.tables import HITS
from tests import factories

PLAN = factories.plan(k=100)


def states(plan: Plan, per_table: int, seed: int = 0) -> list[BucketState]:
    """Return a state for every bucket, with so many hits in each of its tables."""
    random = np.random.default_rng(seed)
    made = []
    for shard in range(plan.run.shards):
        for bucket in plan.buckets_of(shard):
            empty = new_bucket(plan, shard, bucket)
            clusters = np.array(plan.clusters_of(bucket))
            members = np.repeat(np.diff(plan.member_first)[clusters], plan.tables)
            found = [hits_of(random, table, int(m), per_table) for table, m in enumerate(members)]
            hits = best(join(found), plan.table_k) if found else empty.hits
            made.append(replace(empty, hits=hits))
    return made


def hits_of(random: np.random.Generator, table: int, members: int, count: int) -> Hits:
    """Return hits of one table; each row has an entry for every member and some positions."""
    positions = 3
    rows = members * positions
    return Hits(
        table=np.full(count, table, np.uint32),
        score=random.integers(1, 9, count).astype(np.float32),
        sample_high=random.integers(0, 2**63, count).astype(np.uint64),
        sample_low=random.integers(0, 2**63, count).astype(np.uint64),
        peak=np.zeros(count, np.int32),
        partition=random.integers(0, 2, count).astype(np.int32),
        sequence=random.integers(0, 3, count),
        row=random.integers(0, 4, count).astype(np.int32),
        rows=np.full(count, rows, np.int32),
        member=np.tile(np.repeat(np.arange(members, dtype=np.int32), positions), count),
        position=np.concatenate(
            [np.sort(random.permutation(6)[:positions]) for _ in range(count * members)]
            or [np.zeros(0, np.int64)]
        ).astype(np.int32),
        value=random.random(rows * count).astype(np.float32) - np.float32(0.2),
    )


def slow_cluster_rows(plan: Plan, hits: Hits) -> list[dict[int, float]]:
    """Return, per hit, the largest activity of its members at each position where one fires."""
    found, at = [], 0
    for table, rows in zip(hits.table.tolist(), hits.rows.tolist(), strict=True):
        row: dict[int, float] = {}
        for entry in range(at, at + rows):
            member = plan.member_first[table // plan.tables] + hits.member[entry]
            component, value = plan.members[member], float(hits.value[entry])
            sign = int(plan.sign[component])
            activity = abs(value) if sign == 0 else value * sign
            position = int(hits.position[entry])
            if activity > plan.threshold[component]:
                row[position] = max(activity, row.get(position, -np.inf))
        found.append(dict(sorted(row.items())))
        at += rows
    return found


@pytest.mark.parametrize("sign", ["value", "absolute", "negative"])
def test_the_row_of_a_cluster_is_its_slow_twin(sign: str) -> None:
    plan = factories.plan(sources=(factories.source(sign=sign, coactivation=True),))
    hits = shard_hits(plan, states(plan, 3))
    hit, position, activity = tables.cluster_rows(plan, hits)
    found: list[dict[int, float]] = [{} for _ in range(len(hits))]
    for each, at, value in zip(hit.tolist(), position.tolist(), activity.tolist(), strict=True):
        found[each][at] = value
    expected = slow_cluster_rows(plan, hits)
    assert found == expected
    assert [list(row) for row in found] == [list(row) for row in expected]


@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_pieces_of_the_hits_are_the_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = states(PLAN, 4)
    whole = tables.hits_table(PLAN, shard_hits(PLAN, given))
    monkeypatch.setattr(tables, "_HITS_PER_PIECE", size)
    pieces = list(tables.hits_tables(PLAN, given))
    assert pa.concat_tables(pieces).to_pylist() == whole.to_pylist()
    assert (len(pieces) > 1) == (size < 100)


def test_hits_that_a_state_holds_in_another_order_are_ranked() -> None:
    given = states(PLAN, 4)
    random = np.random.default_rng(1)
    mixed = [replace(s, hits=take(s.hits, random.permutation(len(s.hits)))) for s in given]
    whole = tables.hits_table(PLAN, shard_hits(PLAN, given))
    assert tables.hits_table(PLAN, shard_hits(PLAN, mixed)).equals(whole)


def test_no_hits_make_an_empty_table() -> None:
    empty = tables.hits_table(PLAN, shard_hits(PLAN, states(PLAN, 0)))
    assert empty.equals(HITS.schema.empty_table())


def calls(plan: Plan, given: list[BucketState]) -> int:
    """Return how many functions of Python are called to make a shard's largest tables."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        tables.hits_table(plan, shard_hits(plan, given))
        dict(tables.statistics_tables(plan, given))
    finally:
        sys.setprofile(None)
    return count


def test_nothing_is_done_hit_by_hit_or_cluster_by_cluster() -> None:
    def singles(components: int) -> Plan:
        many = factories.source(components=components)
        return make_plan(
            factories.run_record(
                sources=(many,), clusterings=(), shards=1, bucket_bytes=2**25, k=100
            )
        )

    small, large = singles(20), singles(80)
    assert len(small.bucket_first) == len(large.bucket_first) == 2
    few, many = calls(small, states(small, 2)), calls(large, states(large, 20))
    assert many <= few + 20
