import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from consumers.health.progress import Progress
from consumers.plan import Plan, make_plan
from consumers.service import shard_writer
from consumers.service.shard_writer import ShardWriter
from consumers.snapshots.assembly import Assembly, assemble_ready
from consumers.snapshots.snapshots import final_manifest, published, write_shard
from consumers.snapshots.withdrawals import withdraw
from streams.errors import BrokerError, SnapshotError, SnapshotFailedError, StoreError
from streams.records.partials import BucketState
from streams.snapshots import store
from streams.snapshots.drafts import remove_drafts
from streams.snapshots.failed_manifest import find_failed
from streams.snapshots.manifests import FINAL, ShardManifest
from streams.snapshots.table_hashes import verify
from streams.snapshots.table_reading import read_table
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
    """Complete states of a shard in which nothing has fired."""
    return factories.complete_states(plan, shard)


def watched(
    plan: Plan, act: Callable[[ShardWriter], None], until: Callable[[], bool]
) -> list[BaseException]:
    """Let a writer work until something is true; return what it failed with."""
    failures: list[BaseException] = []

    async def work() -> None:
        writer = ShardWriter(plan, BROKER, failures.append, Progress(), pause=0.01)
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
    real = shard_writer.write_shard  # type: ignore[attr-defined]

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
    tries = list[int]()

    def full(*arguments: Any) -> None:
        tries.append(1)
        raise StoreError("no room")

    monkeypatch.setattr(shard_writer, "write_shard", full)
    failures = watched(plan, lambda w: w.write_final(0, states(plan, 0)), lambda: False)
    assert len(tries) == 5
    assert [str(failure) for failure in failures] == ["no room"]


def test_a_stop_waits_for_parts_that_are_being_written(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    real = shard_writer.write_shard  # type: ignore[attr-defined]

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
        raise StoreError("no room")

    monkeypatch.setattr(shard_writer, "write_shard", full)

    def act(writer: ShardWriter) -> None:
        for shard in range(3):
            writer.write_final(shard, states(plan, shard))

    failures = watched(plan, act, lambda: False)
    assert str(failures[0]) == "no room"
    assert 2 not in begun


def test_parts_of_an_unfinished_run_are_never_its_final_snapshot(plan: Plan) -> None:
    """As a request that somebody named "final" would once have made them."""
    client = connect(BROKER)
    for shard in range(3):
        begun = [replace(state, batches=state.batches + 1) for state in states(plan, shard)]
        write_shard(plan, FINAL, shard, begun, client)
    assert assemble_ready(plan, client, 0.05) == Assembly(waiting=True)
    for shard in range(3):
        write_shard(plan, "noon", shard, states(plan, shard), client)
    (made,) = assemble_ready(plan, client, 0.05).made
    assert (made.snapshot, final_manifest(client, plan)) == ("noon", None)


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


@pytest.mark.parametrize("error", [StoreError("no room"), ArithmeticError("no room")])
def test_a_mid_run_part_that_cannot_be_written_is_the_end_of_that_snapshot_only(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = shard_writer.write_shard  # type: ignore[attr-defined]

    def full(plan: Plan, snapshot: str, *rest: Any) -> ShardManifest:
        if snapshot == "noon":
            raise error
        return real(plan, snapshot, *rest)

    monkeypatch.setattr(shard_writer, "write_shard", full)

    def act(writer: ShardWriter) -> None:
        writer.owned(range(3))
        writer.write("noon", 1, states(plan, 1))
        for shard in range(3):
            writer.write_final(shard, states(plan, shard))

    assert watched(plan, act, is_final(plan)) == []
    failed = find_failed(published(connect(BROKER), plan.run.name)["noon"][""])
    assert failed is not None
    assert failed.failed == "shard 1: no room"


def test_a_final_part_that_can_never_be_written_is_the_end_of_the_run(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is started again would find the same."""

    def lost(*arguments: Any) -> None:
        raise SnapshotError("corpus text no longer holds batch 0 of partition 1")

    monkeypatch.setattr(shard_writer, "write_shard", lost)
    client = connect(BROKER)

    def has_failed() -> bool:
        with suppress(SnapshotFailedError):
            return final_manifest(client, plan) is not None
        return True

    assert watched(plan, lambda w: w.write_final(1, states(plan, 1)), has_failed) == []
    with pytest.raises(SnapshotFailedError, match="shard 1: corpus text no longer holds"):
        final_manifest(client, plan)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"junk")])
def test_the_owner_writes_a_part_again_whose_files_are_missing_or_damaged(
    plan: Plan, damage: Callable[[Path], Any]
) -> None:
    """Two workers: one has shard 0 and puts together, the other has the damaged part."""
    client, failures = connect(BROKER), list[BaseException]()
    for shard in (1, 2):
        part = write_shard(plan, FINAL, shard, states(plan, shard), client)
    damage(Path(plan.run.store) / plan.run.name / part.files[1].path)

    async def work() -> None:
        first = ShardWriter(plan, BROKER, failures.append, Progress(), pause=0.01)
        second = ShardWriter(plan, BROKER, failures.append, Progress(), pause=0.01)
        async with first, second:
            first.owned([0])
            second.owned([1, 2])
            first.write_final(0, states(plan, 0))
            while "2/withdrawn" not in published(client, plan.run.name).get(FINAL, {}):
                await asyncio.sleep(0.01)
            assert not is_final(plan)()
            second.write_final(1, states(plan, 1))
            second.write_final(2, states(plan, 2))
            while not is_final(plan)() and not failures:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(work(), PATIENCE))
    assert failures == []
    manifest = final_manifest(client, plan)
    assert manifest is not None
    assert verify(manifest) == manifest.content


def test_a_part_that_is_withdrawn_while_its_owner_is_there_is_written_again(plan: Plan) -> None:
    client = connect(BROKER)
    withdrawn = threading.Event()

    def act(writer: ShardWriter) -> None:
        writer.owned([1])
        writer.write_final(1, states(plan, 1))

    def written_again() -> bool:
        entries = published(client, plan.run.name).get(FINAL, {})
        if "1" in entries and not withdrawn.is_set():
            withdrawn.set()
            withdraw(client, plan, 1, 1, "gone")
            return False
        return withdrawn.is_set() and "1" in entries

    assert watched(plan, act, written_again) == []


def test_a_broker_that_is_away_for_a_while_is_asked_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an owner of shards that others put together; it has nothing to lose meanwhile."""
    real, looks = shard_writer.published, list[int]()  # type: ignore[attr-defined]

    def away(*given: Any) -> Any:
        looks.append(1)
        if len(looks) <= 2:
            raise BrokerError("away")
        return real(*given)

    monkeypatch.setattr(shard_writer, "published", away)

    def act(writer: ShardWriter) -> None:
        writer.owned([1])
        writer.write_final(1, states(plan, 1))

    assert watched(plan, act, lambda: len(looks) > 2) == []
    looks.clear()
    failures = watched(plan, lambda w: w.owned([0]), lambda: False)
    assert [str(failure) for failure in failures] == ["away"]


def test_a_part_is_no_longer_written_again_by_who_has_lost_its_shard(plan: Plan) -> None:
    client = connect(BROKER)
    begun = time.monotonic()

    def act(writer: ShardWriter) -> None:
        writer.owned([1, 2])
        writer.write_final(1, states(plan, 1))
        writer.owned([2])
        writer.write_final(2, states(plan, 2))

    def a_second_later() -> bool:
        if "1" in published(client, plan.run.name).get(FINAL, {}):
            withdraw(client, plan, 1, 1, "gone")
        return time.monotonic() > begun + 1.0

    assert watched(plan, act, a_second_later) == []
    assert "1" not in published(client, plan.run.name)[FINAL]


def test_the_next_owner_of_a_shard_removes_what_a_killed_one_left(plan: Plan) -> None:
    parts = Path(plan.run.store) / plan.run.name / "parts"
    parts.mkdir(parents=True)
    ours, others = (parts / f"hits-{shard:04d}.{'0f' * 16}.tmp" for shard in (1, 2))
    ours.write_bytes(b"half")
    others.write_bytes(b"half")
    assert watched(plan, lambda w: w.owned([1]), lambda: not ours.exists()) == []
    assert others.exists()


def test_whose_draft_the_next_owner_removes_writes_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a shard goes to another worker while a part of it is being written."""
    parts = Path(plan.run.store) / plan.run.name / "parts"
    removed = list[str]()
    real = shard_writer.write_shard  # type: ignore[attr-defined]

    def robbed(*arguments: Any) -> ShardManifest:
        def watched_draft(files: Any, path: str) -> Any:
            made = original(files, path)
            if not removed:
                made = opened(made)
            return made

        original = store.draft  # type: ignore[attr-defined]
        monkeypatch.setattr(store, "draft", watched_draft)
        try:
            return real(*arguments)
        finally:
            monkeypatch.setattr(store, "draft", original)

    @contextmanager
    def opened(made: Any) -> Iterator[Any]:
        with made as draft:
            yield draft
            removed.extend(remove_drafts(fsspec.filesystem("file"), str(parts.parent), 1))

    monkeypatch.setattr(shard_writer, "write_shard", robbed)

    def is_written() -> bool:
        return "1" in published(connect(BROKER), plan.run.name).get(FINAL, {})

    assert watched(plan, lambda w: w.write_final(1, states(plan, 1)), is_written) == []
    assert len(removed) == 1
    assert not list(parts.glob("*.tmp"))
