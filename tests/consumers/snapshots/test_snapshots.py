"""What is asked for, written and published of snapshots, and which manifests count."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.oracle.oracle_run import oracle_tables
from consumers.plan import Plan, make_plan
from consumers.snapshots.assembly import Assembler
from consumers.snapshots.snapshots import (
    assembled,
    is_settled,
    manifests_of,
    publish,
    published,
    request_snapshot,
    write_plain,
    write_shard,
)
from consumers.snapshots.withdrawals import times_withdrawn, withdraw
from streams import topics
from streams.errors import SettingsError, SnapshotFailedError
from streams.record_headers import kind_in
from streams.records.partials import SnapshotRequest
from streams.records.run_identity import identity
from streams.snapshots.failed_manifest import failed_json, failed_manifest
from streams.snapshots.manifests import FINAL, VERSION, run_manifest, shard_manifest, to_json
from streams.snapshots.store import read_manifest
from streams.snapshots.table_hashes import verify
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from streams.wire import codec
from tests import factories
from tests.published import WORDS
from tests.published import publish as publish_run

NAME = "snapshots-alone"


@pytest.fixture
def client() -> Iterator[Client]:
    forget(NAME)
    yield connect(f"memory://{NAME}")
    forget(NAME)


@pytest.fixture
def plan(client: Client, tmp_path: Path) -> Plan:
    record = factories.run_record(store=str(tmp_path))
    publish_run(client, record, factories.batches(per_partition=1))
    return make_plan(record)


def test_each_shard_is_asked_once_in_the_stream_of_its_partials(plan: Plan, client: Client) -> None:
    request_snapshot(client, plan.run, "so-far")
    for shard in range(plan.run.shards):
        (record,) = client.read("partials.test", shard)
        assert kind_in(record.headers) == topics.SNAPSHOT_REQUEST
        assert record.value is not None
        assert codec.decode(SnapshotRequest, record.value) == (
            SnapshotRequest(plan.id, shard, "so-far")
        )


@pytest.mark.parametrize("name", [FINAL, "So Far", "", "../x"])
def test_names_that_are_not_usable_are_refused(plan: Plan, client: Client, name: str) -> None:
    with pytest.raises(SettingsError):
        request_snapshot(client, plan.run, name)
    assert set(client.ends("partials.test").values()) == {0}


def test_a_name_is_taken_once_its_snapshot_is_there_and_not_before(
    plan: Plan, client: Client
) -> None:
    publish(client, "test/so-far/0", b"a part")
    publish(client, "other/so-far", b"of another run")
    request_snapshot(client, plan.run, "so-far")
    publish(client, "test/so-far", b"there")
    with pytest.raises(SettingsError, match="run test has a snapshot so-far"):
        request_snapshot(client, plan.run, "so-far")
    request_snapshot(client, plan.run, "another")


def test_manifests_are_found_by_snapshot_and_shard(plan: Plan, client: Client) -> None:
    entries = {
        "test/a": b"1", "test/a/0": b"2", "test/a/10": b"3", "test/final/1": b"4",
        "test2/a": b"5", "tes/a": b"6", "test/final/1/withdrawn": b"7",
    }  # fmt: skip
    for key, value in entries.items():
        publish(client, key, value)
    expected = {
        "a": {"": b"1", "0": b"2", "10": b"3"},
        "final": {"1": b"4", "1/withdrawn": b"7"},
    }
    assert published(client, "test") == expected
    followed = manifests_of("test")
    assert published(client, "test", followed) == expected
    publish(client, "test/a/0", b"8")
    assert published(client, "test", followed)["a"]["0"] == b"8"


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_part_says_what_its_states_are(plan: Plan, client: Client, shard: int) -> None:
    states = factories.complete_states(plan, shard, tokens=8, rows=4, refused=1)
    made = write_shard(plan, "a", shard, states, client)
    assert published(client, "test")["a"][str(shard)] == to_json(made)
    assert shard_manifest(to_json(made)) == made
    named = (made.version, made.run, made.run_id, made.snapshot, made.shard)
    assert named == (VERSION, "test", plan.id, "a", shard)
    assert (made.complete, made.chain, made.tokens, made.rows, made.refused) == (
        True, (0, 0), 8, 4, 1,
    )  # fmt: skip
    tables = {file.table for file in made.files}
    assert ({"totals", "vocabulary"} <= tables) == (shard == 0)
    assert {"hits", "clusters"} <= tables


def test_a_part_is_complete_when_all_its_states_are(plan: Plan, client: Client) -> None:
    *whole, last = factories.complete_states(plan, 0)
    states = [*whole, replace(last, batches=last.batches + 1)]
    assert not write_shard(plan, "a", 0, states, client).complete
    assert write_shard(plan, "a", 0, [*whole, last], client).complete


def test_a_shard_of_one_bucket_is_a_part_like_any_other(client: Client, tmp_path: Path) -> None:
    record = factories.run_record(store=str(tmp_path), shards=1, bucket_bytes=1 << 20)
    publish_run(client, record, factories.batches(per_partition=1))
    alone = make_plan(record)
    (state,) = factories.complete_states(alone, 0, tokens=5)
    assert write_shard(alone, "a", 0, [state], client).tokens == 5


def put_together(plan: Plan, client: Client, snapshot: str) -> bytes:
    for shard in range(plan.run.shards):
        write_shard(plan, snapshot, shard, factories.complete_states(plan, shard), client)
    Assembler(plan, client, 1.0, pause=0.001).assemble_ready(published(client, "test"))
    return published(client, "test")[snapshot][""]


def test_a_snapshot_is_settled_when_it_is_there_or_given_up(plan: Plan, client: Client) -> None:
    assert not is_settled(plan, "a", {})
    assert not is_settled(plan, "a", {"": b"junk", "0": b"x"})
    value = put_together(plan, client, "a")
    assert is_settled(plan, "a", {"": value})
    found = assembled(plan, "a", {"": value})
    assert found == run_manifest(value)
    assert assembled(plan, "b", {"": value}) is None  # under another name
    assert read_manifest(f"{plan.run.store}/test/a/manifest.json") == found


def test_a_snapshot_that_was_given_up_is_settled_and_says_why(plan: Plan) -> None:
    value = failed_json(failed_manifest("test", plan.id, "a", "the disk", "2026-01-02"))
    assert is_settled(plan, "a", {"": value})
    with pytest.raises(SnapshotFailedError, match="the disk"):
        assembled(plan, "a", {"": value})
    assert not is_settled(plan, "b", {"": value})


def test_tables_of_one_process_are_a_snapshot_of_their_own(plan: Plan, tmp_path: Path) -> None:
    batches = factories.batches(per_partition=1)
    tables = oracle_tables(plan, factories.DenseEngine(plan), iter(batches), WORDS)
    made = write_plain(plan, tables, "plain", str(tmp_path / "other"))
    assert read_manifest(str(tmp_path / "other/test/plain/manifest.json")) == made
    assert (made.run_id, made.identity, made.final) == (plan.id, identity(plan.run), True)
    assert {entry.name: entry.rows for entry in made.tables} == {
        name: table.num_rows for name, table in tables.items()
    }
    verify(made)


def test_withdrawals_are_counted_by_run_and_shard(plan: Plan, client: Client) -> None:
    publish(client, "test/final/1", b"a part")
    publish(client, "test/final/2", b"another")
    withdraw(client, plan, 1, 2, "gone")
    entries = published(client, "test")[FINAL]
    assert set(entries) == {"1/withdrawn", "2"}
    assert [times_withdrawn(plan, shard, entries) for shard in range(3)] == [0, 2, 0]
    forged = {"0/withdrawn": entries["1/withdrawn"], "2/withdrawn": b"junk"}
    assert [times_withdrawn(plan, shard, forged) for shard in (0, 2)] == [0, 0]
    other = factories.plan(store=plan.run.store, k=4)
    assert times_withdrawn(other, 1, entries) == 0
