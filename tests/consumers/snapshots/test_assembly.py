"""Which snapshots are put together, which are given up, and which parts are to be written again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.plan import Plan, make_plan
from consumers.snapshots import assembly, joining
from consumers.snapshots.assembly import Assembler, Assembly, shard_manifests
from consumers.snapshots.failed_snapshots import failure_taken_back, give_up
from consumers.snapshots.joining import joined
from consumers.snapshots.snapshots import final_manifest, publish, published, write_shard
from consumers.snapshots.withdrawals import MOST, withdraw
from streams import topics
from streams.errors import (
    AccessError,
    BrokerError,
    LostBatchError,
    LostInputError,
    SnapshotError,
    SnapshotFailedError,
    StoreError,
)
from streams.records.partials import BucketState
from streams.snapshots.failed_manifest import failed_manifest, find_failed
from streams.snapshots.manifests import FINAL, RunManifest, ShardManifest, to_json
from streams.snapshots.store import read_manifest
from streams.snapshots.table_entry import PartFile
from streams.snapshots.table_hashes import verify
from streams.transport.client import Client
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from tests import factories
from tests.published import publish as publish_run

BROKER = "memory://assembly"
SHARDS = 3
Damage = Callable[[Path], Any]


@pytest.fixture
def client() -> Iterator[Client]:
    yield connect(BROKER)
    forget("assembly")


@pytest.fixture
def plan(client: Client, tmp_path: Path) -> Plan:
    """The plan of a published run of three shards."""
    record = factories.run_record(store=str(tmp_path))
    publish_run(client, record, factories.batches(partitions=record.partitions, per_partition=1))
    return make_plan(record)


def write(plan: Plan, client: Client, snapshot: str, **changes: Any) -> list[ShardManifest]:
    """Write and publish the parts of every shard, complete ones unless changed."""
    return [
        write_shard(plan, snapshot, shard, states(plan, shard, **changes), client)
        for shard in range(SHARDS)
    ]


def states(plan: Plan, shard: int, mark: int = 0, **changes: Any) -> list[BucketState]:
    """Return complete states, whose files have other names for another mark."""
    made = factories.complete_states(plan, shard, **changes)
    return [replace(state, sums=np.full_like(state.sums, mark)) for state in made]


def look(plan: Plan, client: Client, share: float = 0.05) -> Assembly:
    entries = published(client, plan.run.name)
    return Assembler(plan, client, share, pause=0.001).assemble_ready(entries)


def failure(plan: Plan, client: Client, snapshot: str = FINAL) -> str:
    """Return why a snapshot was given up, "" if it was not."""
    entries = published(client, plan.run.name).get(snapshot, {})
    failed = find_failed(entries.get("", b""))
    return failed.failed if failed else ""


def file_of(plan: Plan, part: ShardManifest, table: str) -> Path:
    (found,) = (file for file in part.files if file.table == table)
    return Path(plan.run.store) / plan.run.name / found.path


def flip(path: Path) -> None:
    """Change a byte that no reader of Parquet would notice: one of the magic at the front."""
    data = bytearray(path.read_bytes())
    data[1] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


damages = pytest.mark.parametrize("damage", [Path.unlink, flip, cut, lengthen])


@damages
def test_a_damaged_mid_run_snapshot_is_given_up_by_name_and_nothing_else_waits_for_it(
    plan: Plan, client: Client, damage: Damage
) -> None:
    parts = write(plan, client, "so-far", mark=1)
    damage(file_of(plan, parts[1], "clusters"))
    write(plan, client, FINAL, mark=2)
    write(plan, client, "later", mark=3)
    found = look(plan, client)
    assert [manifest.snapshot for manifest in found.made] == [FINAL, "later"]
    assert [failed.snapshot for failed in found.failed] == ["so-far"]
    assert "clusters-0001" in failure(plan, client, "so-far")
    with pytest.raises(SnapshotFailedError, match="clusters-0001"):
        read_manifest(str(Path(plan.run.store) / plan.run.name / "so-far"))


def test_a_snapshot_that_was_given_up_stays_so_for_whoever_looks_next(
    plan: Plan, client: Client
) -> None:
    parts = write(plan, client, "so-far")
    file_of(plan, parts[0], "hits").unlink()
    look(plan, client)
    write(plan, client, "so-far")
    assert look(plan, client) == Assembly()
    assert failure(plan, client, "so-far")


def test_whatever_is_wrong_with_a_mid_run_snapshot_the_run_goes_on(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plan, client, "so-far")
    monkeypatch.setattr(assembly, "joined", lambda *_: 1 / 0)
    assert look(plan, client).failed[0].failed == "division by zero"


def test_a_broker_that_is_away_is_no_reason_to_give_up(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plan, client, "so-far")

    def away(*_: Any) -> None:
        raise BrokerError("away")

    monkeypatch.setattr(assembly, "publish", away)
    with pytest.raises(BrokerError):
        look(plan, client)
    assert not failure(plan, client, "so-far")


@damages
def test_the_manifest_of_a_damaged_final_part_is_withdrawn_and_no_other(
    plan: Plan, client: Client, damage: Damage
) -> None:
    parts = write(plan, client, FINAL)
    for shard, table in ((0, "totals"), (2, "clusters")):
        damage(file_of(plan, parts[shard], table))
    found = look(plan, client)
    assert [(w.shard, w.times) for w in found.withdrawn] == [(0, 1), (2, 1)]
    assert (found.made, found.failed, found.waiting) == ((), (), True)
    entries = published(client, plan.run.name)[FINAL]
    assert list(shard_manifests(plan, FINAL, entries)) == [1]
    assert look(plan, client) == Assembly(waiting=True)
    write(plan, client, FINAL)
    (made,) = look(plan, client).made
    assert verify(made) == made.content
    assert final_manifest(client, plan) == made


def test_a_store_that_loses_a_part_again_and_again_ends_the_run_with_the_cause(
    plan: Plan, client: Client
) -> None:
    """Each look is that of another process, which knows only what is published."""
    for _ in range(MOST):
        file_of(plan, write(plan, client, FINAL)[1], "coactivation").unlink()
        assert len(look(plan, client).withdrawn) == 1
    file_of(plan, write(plan, client, FINAL)[1], "coactivation").unlink()
    (failed,) = look(plan, client).failed
    assert "the files of shard 1 were written 4 times" in failed.failed
    assert "coactivation-0001" in failed.failed
    with pytest.raises(SnapshotFailedError, match=r"mend the store"):
        final_manifest(client, plan)
    write(plan, client, FINAL)
    assert look(plan, client) == Assembly()


def test_withdrawals_of_another_run_of_the_same_name_do_not_count(
    plan: Plan, client: Client
) -> None:
    withdraw(client, replace(plan, id="0" * 32), 1, MOST, "")
    file_of(plan, write(plan, client, FINAL)[1], "coactivation").unlink()
    assert [w.times for w in look(plan, client).withdrawn] == [1]


def test_parts_that_are_sound_and_do_not_go_together_are_all_written_again(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: Any) -> None:
        raise SnapshotError("hits name places up to 2**60 batches far in a partition")

    write(plan, client, FINAL)
    monkeypatch.setattr(assembly, "joined", odd)
    assert [w.shard for w in look(plan, client).withdrawn] == [0, 1, 2]


def unreachable(times: int) -> Callable[..., RunManifest]:
    """Return a store that cannot be read so many times."""
    left = [times]

    def read(*given: Any) -> RunManifest:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreError("no route to host")
        return joined(*given)

    return read


def test_a_store_that_cannot_be_reached_for_a_while_is_waited_for(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plan, client, FINAL)
    monkeypatch.setattr(assembly, "joined", unreachable(4))
    assert len(look(plan, client).made) == 1


def test_a_store_that_stays_unreachable_is_no_damage(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends, and the next one goes on from the same parts."""
    write(plan, client, FINAL)
    monkeypatch.setattr(assembly, "joined", unreachable(5))
    with pytest.raises(StoreError, match="no route"):
        look(plan, client)
    assert len(look(plan, client).made) == 1


def test_a_manifest_under_the_key_of_another_shard_is_none(plan: Plan, client: Client) -> None:
    parts = write(plan, client, FINAL)
    publish(client, f"{plan.run.name}/{FINAL}/1", to_json(parts[2]))
    entries = published(client, plan.run.name)[FINAL]
    assert sorted(shard_manifests(plan, FINAL, entries)) == [0, 2]
    assert shard_manifests(plan, FINAL, {"1": entries["1"]}) == {}
    assert look(plan, client) == Assembly(waiting=True)


@pytest.mark.parametrize(
    "changes",
    [{"shard": SHARDS}, {"shard": -1}, {"snapshot": "noon"}, {"run_id": "0"}, {"complete": False}],
)
def test_a_manifest_of_something_else_is_no_final_part(
    plan: Plan, client: Client, changes: dict[str, Any]
) -> None:
    part = write(plan, client, FINAL)[1]
    shard = changes.get("shard", 1)
    entries = {str(shard): to_json(replace(part, **changes))}
    assert shard_manifests(plan, FINAL, entries) == {}


@pytest.mark.parametrize(
    "changes", [{"final": False}, {"snapshot": "noon"}, {"run_id": "0"}, {"version": 10**6}]
)
def test_what_is_no_final_snapshot_does_not_stand_in_the_place_of_one(
    plan: Plan, client: Client, changes: dict[str, Any]
) -> None:
    write(plan, client, FINAL)
    (made,) = look(plan, client).made
    publish(client, f"{plan.run.name}/{FINAL}", to_json(replace(made, **changes)))
    assert final_manifest(client, plan) is None
    (again,) = look(plan, client).made
    assert again.content == made.content
    assert final_manifest(client, plan) == again


@pytest.mark.parametrize("snapshot", ["..", ".", "", "a b", "x" * 200])
def test_nothing_is_put_together_or_given_up_under_what_is_no_name(
    plan: Plan, client: Client, snapshot: str
) -> None:
    """A name becomes a folder of the store."""
    for part in write(plan, client, "noon"):
        forged = replace(part, snapshot=snapshot)
        publish(client, f"{plan.run.name}/{snapshot}/{part.shard}", to_json(forged))
    assert [made.snapshot for made in look(plan, client).made] == ["noon"]


def test_a_failed_manifest_of_something_else_is_no_failure_of_this_run(
    plan: Plan, client: Client
) -> None:
    write(plan, client, FINAL)
    for run_id, snapshot in (("0" * 32, FINAL), (plan.id, "noon")):
        forged = failed_manifest(plan.run.name, run_id, snapshot, "why", "")
        publish(client, f"{plan.run.name}/{FINAL}", to_json(forged))
        assert final_manifest(client, plan) is None
    assert len(look(plan, client).made) == 1


def test_what_is_there_is_not_given_up(plan: Plan, client: Client) -> None:
    """As by a worker that saw damage just before another one had the part written again."""
    write(plan, client, FINAL)
    (made,) = look(plan, client).made
    assert give_up(plan, client, FINAL, "late") is None
    assert final_manifest(client, plan) == made


def test_a_run_of_which_nothing_is_left_has_failed(plan: Plan, client: Client) -> None:
    write(plan, client, FINAL, tokens=0, rows=0, refused=2)
    (failed,) = look(plan, client).failed
    assert failed.failed.startswith("all 2 batches were refused")
    with pytest.raises(SnapshotFailedError, match="all 2 batches were refused"):
        read_manifest(str(Path(plan.run.store) / plan.run.name / FINAL))


def test_a_run_of_which_too_little_is_left_has_its_final_snapshot_and_says_so(
    plan: Plan, client: Client
) -> None:
    write(plan, client, FINAL, refused=1)
    (made,) = look(plan, client, share=0.4).made
    assert made.excess_refusals.startswith("1 of 2 batches were refused, more than the 0.4")
    assert final_manifest(client, plan) == made


def test_a_run_of_which_enough_is_left_says_nothing(plan: Plan, client: Client) -> None:
    write(plan, client, FINAL, refused=1)
    (made,) = look(plan, client, share=0.5).made
    assert made.excess_refusals == ""


def test_samples_that_vanish_once_written_are_no_shards_damage(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written where the snapshot is put together, so that is done again."""
    write(plan, client, FINAL)
    real, left = joining.write_part, [2]  # type: ignore[attr-defined]

    def vanishing(*given: Any) -> PartFile:
        part = real(*given)
        left[0] -= 1
        if left[0] >= 0:
            (Path(plan.run.store) / plan.run.name / part.path).unlink()
        return part

    monkeypatch.setattr(joining, "write_part", vanishing)
    found = look(plan, client)
    assert (len(found.made), found.withdrawn) == (1, ())
    assert verify(found.made[0]) == found.made[0].content


def test_samples_that_the_corpus_no_longer_holds_end_the_run(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise LostBatchError("corpus text no longer holds batch 3 of partition 0")

    write(plan, client, "so-far", mark=1)
    write(plan, client, FINAL)
    monkeypatch.setattr(assembly, "joined", lost)
    with pytest.raises(LostInputError) as error:
        look(plan, client)
    assert error.value.for_good


def test_a_mid_run_snapshot_whose_corpus_was_deleted_is_given_up_and_the_worker_goes_on(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the one that a client really has of a topic that is gone."""
    places = tuple(np.zeros(1, np.int64) for _ in range(3))
    monkeypatch.setattr(joining, "distinct_places", lambda _: places)
    write(plan, client, "so-far", mark=1)
    client.delete_topics([topics.tokens(plan.run.corpus, 1).name])
    (failed,) = look(plan, client).failed
    assert failed.snapshot == "so-far"
    assert f"corpus {plan.run.corpus} is not on the broker any more" in failed.failed
    assert look(plan, client) == Assembly()


def test_a_right_that_is_missing_gives_up_a_mid_run_snapshot_and_not_the_final_one(
    plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise AccessError("the right to read tokens.text is missing")

    monkeypatch.setattr(assembly, "joined", refused)
    write(plan, client, "so-far", mark=1)
    assert look(plan, client).failed[0].snapshot == "so-far"
    write(plan, client, FINAL)
    with pytest.raises(AccessError):
        look(plan, client)
    assert not failure(plan, client)


def test_a_failure_is_taken_back_unless_the_work_on_it_fails(plan: Plan, client: Client) -> None:
    with failure_taken_back(client, plan) as said:
        assert said is None
    assert give_up(plan, client, FINAL, "a part is lost")

    def work() -> None:
        assert not failure(plan, client, FINAL)
        raise BrokerError("away")

    with pytest.raises(BrokerError), failure_taken_back(client, plan):
        work()
    assert failure(plan, client, FINAL) == "a part is lost"
    with failure_taken_back(client, plan) as said:
        assert said is not None
        assert said.failed == "a part is lost"
    assert not failure(plan, client, FINAL)
