import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.aggregation.shards import new_bucket
from consumers.health.progress import Progress
from consumers.service import shard_writer
from consumers.service.shard_writer import ShardWriter
from consumers.snapshots.snapshots import (
    assemble_ready,
    final_manifest,
    published,
    write_shard,
)
from streams.errors import SnapshotError
from streams.partials import BucketState
from streams.plan import Plan, make_plan
from streams.snapshot import FINAL, ShardManifest
from streams.store import read_table
from streams.transport.connect import connect
from tests import factories
from tests.published import publish

BROKER = "memory://shard-writer"
PATIENCE = 20.0


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The plan of a published run of three shards; its name is the test's own."""
    name = tmp_path.name.replace("_", "-")[:40]
    record = factories.run_record(name=name, corpus=f"{name}-text", store=str(tmp_path))
    given = factories.batches(partitions=record.partitions, per_partition=1)
    publish(connect(BROKER), record, given)
    return make_plan(record)


def states(plan: Plan, shard: int) -> list[BucketState]:
    """Complete states of a shard in which nothing has fired: of one batch per partition."""
    ends = np.ones(plan.run.partitions, np.int64)
    empty = (new_bucket(plan, shard, bucket) for bucket in plan.buckets_of(shard))
    return [replace(state, chain=ends - 1, batches=ends) for state in empty]


def watched(
    plan: Plan, act: Callable[[ShardWriter], None], until: Callable[[], bool]
) -> list[BaseException]:
    """Let a writer work until something is true; return what it failed with."""
    failures: list[BaseException] = []

    async def work() -> None:
        writer = ShardWriter(plan, BROKER, failures.append, Progress())
        async with writer:
            act(writer)
            while not until() and not failures:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(work(), PATIENCE))
    return failures


def is_final(plan: Plan) -> Callable[[], bool]:
    client = connect(BROKER)
    return lambda: final_manifest(client, plan) is not None


def test_the_last_of_our_own_parts_is_followed_by_the_manifest_at_once(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time between two looks is longer than this test may take."""
    for name in ("_SHORTEST_POLL", "_LONGEST_POLL"):
        monkeypatch.setattr(shard_writer, name, 2 * PATIENCE)

    def act(writer: ShardWriter) -> None:
        writer.owned(range(3))
        for shard in range(3):
            writer.write_final(shard, states(plan, shard))

    assert watched(plan, act, is_final(plan)) == []


def test_parts_that_others_write_are_found(plan: Plan) -> None:
    client = connect(BROKER)

    def act(writer: ShardWriter) -> None:
        writer.owned([0])
        writer.write_final(0, states(plan, 0))

    def others() -> None:
        for shard in (1, 2):
            write_shard(plan, FINAL, shard, states(plan, shard), client)

    later = threading.Timer(0.3, others)
    later.start()
    assert watched(plan, act, is_final(plan)) == []
    later.join()


def test_parts_of_different_shards_are_written_side_by_side(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two parts waits for the other to begin."""
    monkeypatch.setattr("consumers.service.shard_writer.os.cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=PATIENCE)
    real = shard_writer.write_shard

    def meeting(*arguments: Any) -> ShardManifest:
        both.wait()
        return real(*arguments)

    monkeypatch.setattr(shard_writer, "write_shard", meeting)

    def act(writer: ShardWriter) -> None:
        for shard in range(2):
            writer.write_final(shard, states(plan, shard))

    client = connect(BROKER)

    def are_there() -> bool:
        return len(published(client, plan.run.name).get(FINAL, {})) == 2

    assert watched(plan, act, are_there) == []


def test_a_part_that_cannot_be_written_ends_the_worker(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise SnapshotError("no room")

    monkeypatch.setattr(shard_writer, "write_shard", full)
    failures = watched(plan, lambda w: w.write_final(0, states(plan, 0)), lambda: False)
    assert [str(failure) for failure in failures] == ["no room"]


def test_a_stop_waits_for_parts_that_are_being_written(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    real = shard_writer.write_shard

    def slow(*arguments: Any) -> ShardManifest:
        begun.set()
        time.sleep(0.3)
        return real(*arguments)

    monkeypatch.setattr(shard_writer, "write_shard", slow)
    assert watched(plan, lambda w: w.write_final(1, states(plan, 1)), begun.is_set) == []
    assert list(published(connect(BROKER), plan.run.name)[FINAL]) == ["1"]


def test_once_a_part_has_failed_no_other_is_begun(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.service.shard_writer.os.cpu_count", lambda: 1)
    begun = list[int]()

    def full(_: Plan, __: str, shard: int, *rest: Any) -> None:
        begun.append(shard)
        time.sleep(0.05)
        raise SnapshotError("no room")

    monkeypatch.setattr(shard_writer, "write_shard", full)

    def act(writer: ShardWriter) -> None:
        for snapshot in ("a", "b", "c", "d", "e", "f", "g", "h"):
            writer.write(snapshot, 0, states(plan, 0))

    failures = watched(plan, act, lambda: False)
    assert str(failures[0]) == "no room"
    assert len(begun) < 8


def test_parts_of_an_unfinished_run_are_never_its_final_snapshot(plan: Plan) -> None:
    """As a request that somebody named "final" would once have made them."""
    client = connect(BROKER)
    for shard in range(3):
        begun = [replace(state, batches=state.batches + 1) for state in states(plan, shard)]
        write_shard(plan, FINAL, shard, begun, client)
    assert assemble_ready(plan, client) == ([], False)
    for shard in range(3):
        write_shard(plan, "noon", shard, states(plan, shard), client)
    ((made,), waiting) = assemble_ready(plan, client)
    assert (made.snapshot, waiting, final_manifest(client, plan)) == ("noon", False, None)


def test_a_final_part_is_written_once(plan: Plan) -> None:
    client = connect(BROKER)

    def act(writer: ShardWriter) -> None:
        writer.owned(range(3))
        for shard in (0, 0, 1, 2, 2):
            writer.write_final(shard, states(plan, shard))

    assert watched(plan, act, is_final(plan)) == []
    manifest = final_manifest(client, plan)
    assert manifest is not None
    assert len(read_table(manifest, "clusters")) == plan.clusters
