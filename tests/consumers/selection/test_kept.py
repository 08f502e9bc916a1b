"""All activations, kept: through repetitions and kills they are what a plain loop finds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from consumers.selection.kept import Keeper, kept_table
from consumers.selection.selection import cluster_activity, valid_tokens
from consumers.selection.worker import ActivationWorker
from downstream.reading.kept import kept_activations
from streams import topics
from streams.errors import DamagedPartError, SnapshotError
from streams.records.corpus import TokenBatch
from streams.snapshots.kept_files import ACTIVATIONS, MERGED, encoded, kept_path
from streams.snapshots.manifests import RunManifest
from streams.snapshots.run_files import find_run_files, remove_run_files
from streams.snapshots.store import open_store
from streams.wire import codec
from tests import factories

SOURCES = (
    factories.source(components=6),
    factories.source("neurons", components=5, sign="absolute", threshold=0.5, singles=False),
)
CLUSTERINGS = (factories.clustering({"a": [(0, 1), (1, 2)], "b": [(0, 2), (1, 3)], "empty": []}),)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return factories.plan(
        sources=SOURCES, clusterings=CLUSTERINGS, store=str(tmp_path), keep=ACTIVATIONS
    )


class OnDevice(factories.DenseEngine):
    """Leaves what it computes in tensors, as on a GPU."""

    selects_on_device = True

    def compute_on_device(self, batch: TokenBatch, valid: Any) -> Any:
        from consumers.activations.device_activations import from_host

        found = self.compute(batch, valid)
        return from_host(found, self.plan.components, batch.ids.shape[1])


def read(
    plan: Plan, batch: TokenBatch, value: bytes | None = None, kind: Any = factories.DenseEngine
) -> Any:
    """Have a worker that knows nothing take in a batch."""
    headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(batch.sequence).encode()}
    worker = ActivationWorker(plan, kind(plan))
    return worker.handle(batch.partition, value or codec.encode(batch), headers)


def manifest_of(plan: Plan, *chains: tuple[int, ...], **about: Any) -> RunManifest:
    made = factories.run_manifest(
        run=plan.run.name, run_id=plan.id, store=plan.run.store, chains=chains
    )
    return replace(made, about={**made.about, "keep": ACTIVATIONS, **about})


def plain(plan: Plan, batches: list[TokenBatch]) -> list[tuple[Any, ...]]:
    """Return every activation of every cluster, one after the other."""
    oracle, found = Oracle(plan, factories.DenseEngine(plan)), []
    for batch in sorted(batches, key=lambda each: (each.partition, each.sequence)):
        activations = oracle.engine.compute(batch, valid_tokens(plan, batch))
        for cluster in range(plan.clusters):
            one = oracle._cluster(cluster, activations, batch.ids.shape)
            active = np.zeros((0, 2), int) if one is None else np.argwhere(one.activity > -np.inf)
            for row, position in active:
                at = (int(row), int(position))
                place = (batch.partition, batch.sequence, cluster, *at)
                found.append((*place, int(batch.ids[at]), float(one.activity[at])))
    return found


def rows_of(table: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def test_what_is_kept_is_what_a_plain_loop_finds_through_repetitions_and_kills(
    plan: Plan, tmp_path: Path
) -> None:
    batches = factories.batches(per_partition=3, rows=3)
    for batch in (*batches[::-1], *batches[1::2]):
        assert read(plan, batch).error is None
    folder = tmp_path / plan.run.name / "activations"
    killed = folder / f"{Path(kept_path(plan.id, 0, 3, 3)).name}.{'0' * 32}.tmp"
    killed.write_bytes(b"PAR1")
    beyond = factories.batches(per_partition=4, rows=3)[3]
    assert (beyond.partition, beyond.sequence) == (0, 3)
    read(plan, beyond)  # whose record was never counted
    for batch in batches:
        path = tmp_path / plan.run.name / kept_path(plan.id, batch.partition, *[batch.sequence] * 2)
        before = path.read_bytes()
        read(plan, batch, kind=OnDevice)
        assert path.read_bytes() == before

    kept = kept_activations(manifest_of(plan, (2, 2), (2, 2)))
    every = [row for table in kept.batches() for row in rows_of(table)]
    expected = plain(plan, batches)
    assert every == expected
    for cluster in range(plan.clusters):
        assert rows_of(kept.of(cluster)) == [row for row in expected if row[2] == cluster]
    behind = kept_activations(manifest_of(plan, (2, 0), (1, 2)))
    counted = [each for each in batches if each.sequence <= (1, 0)[each.partition]]
    assert [row for table in behind.batches() for row in rows_of(table)] == plain(plan, counted)
    assert not len(kept_activations(manifest_of(plan, (-1, -1))).of(0))

    (folder / "notes.txt").write_text("of somebody else")
    other = folder / Path(kept_path("f" * 32, 0, 0, 0)).name
    other.write_bytes(b"of another run")
    store = open_store(str(tmp_path))
    files = find_run_files(store, plan.run.name, plan.id, ())
    assert len(files.owned) == 8
    remove_run_files(store, files)
    assert sorted(each.name for each in folder.iterdir()) == [other.name, "notes.txt"]
    with pytest.raises(DamagedPartError, match="cannot read"):
        kept.of(0)


def test_batches_become_one_file_through_repetitions_and_kills(plan: Plan, tmp_path: Path) -> None:
    batches = factories.batches(partitions=2, per_partition=MERGED + 3, rows=3)
    folder = tmp_path / plan.run.name
    store = open_store(str(tmp_path))

    def path(partition: int, first: int, last: int) -> Path:
        return folder / kept_path(plan.id, partition, first, last)

    def names() -> list[str]:
        return sorted(each.name for each in (folder / "activations").iterdir())

    def expect_exact() -> None:
        for last in (MERGED + 2, MERGED - 1, 4):
            kept = kept_activations(manifest_of(plan, (last, last)))
            expected = plain(plan, [each for each in batches if each.sequence <= last])
            tables = list(kept.batches())
            assert len(tables) == 2 * (last + 1)
            assert [row for table in tables for row in rows_of(table)] == expected
            for cluster in range(plan.clusters):
                assert rows_of(kept.of(cluster)) == [row for row in expected if row[2] == cluster]

    merged = [path(partition, 0, MERGED - 1) for partition in (0, 1)]
    tail = [path(p, n, n) for p in (0, 1) for n in range(MERGED, MERGED + 3)]
    for batch in batches:
        read(plan, batch)
    assert names() == sorted(each.name for each in (*merged, *tail))
    expect_exact()
    whole = merged[0].read_bytes()

    # One that comes again lies beside the merged file, until the last comes again, too.
    for batch in batches[2:5]:
        read(plan, batch)
    assert path(0, 3, 3).is_file()
    expect_exact()
    read(plan, batches[MERGED - 1])
    assert not path(0, 3, 3).exists()
    assert merged[0].read_bytes() == whole

    # Killed before it was merged, before the others went, and before the last was written.
    merged[0].unlink()
    for batch in batches[:MERGED]:
        data = encoded(kept_table(batch, read_tokens(plan, batch)))
        path(0, batch.sequence, batch.sequence).write_bytes(data)
    expect_exact()
    merged[0].write_bytes(whole)
    expect_exact()
    merged[0].unlink()
    path(0, MERGED - 1, MERGED - 1).unlink()
    with pytest.raises(DamagedPartError, match="cannot read"):
        kept_activations(manifest_of(plan, (MERGED - 1, -1))).of(0)
    path(0, 2, 2).rename(tmp_path / "two")
    read(plan, batches[MERGED - 1])
    assert not merged[0].exists(), "one of them is missing"
    (tmp_path / "two").rename(path(0, 2, 2))
    read(plan, batches[MERGED - 1])
    assert merged[0].read_bytes() == whole
    expect_exact()
    assert len(find_run_files(store, plan.run.name, plan.id, ()).owned) == len(names())


def read_tokens(plan: Plan, batch: TokenBatch) -> Any:
    """Return where clusters are active in a batch."""
    valid = valid_tokens(plan, batch)
    activations = factories.DenseEngine(plan).compute(batch, valid)
    return cluster_activity(plan, batch, valid, activations).tokens


def test_large_files_and_threads_that_overtake_each_other(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = factories.batches(partitions=2, per_partition=MERGED, rows=3)
    keeper, folder = Keeper(plan), tmp_path / plan.run.name
    order = [*range(MERGED - 2), MERGED - 1, MERGED - 2]
    for number in order:
        tokens = read_tokens(plan, batches[number])
        keeper.keep(batches[number], tokens)
    assert [each.name for each in (folder / "activations").iterdir()] == [
        Path(kept_path(plan.id, 0, 0, MERGED - 1)).name
    ]
    monkeypatch.setattr("consumers.selection.kept._LARGE", 10)
    for batch in batches[MERGED:]:
        read(plan, batch)
    assert not (folder / kept_path(plan.id, 1, 0, MERGED - 1)).exists()
    kept = kept_activations(manifest_of(plan, (MERGED - 1, MERGED - 1)))
    assert [row for table in kept.batches() for row in rows_of(table)] == plain(plan, batches)


def test_a_refused_batch_has_no_activations_and_what_was_not_kept_is_said(plan: Plan) -> None:
    first, second = factories.batches(per_partition=2, rows=3)[:2]
    read(plan, first)
    assert read(plan, second, b"junk").error is not None
    kept = kept_activations(manifest_of(plan, (1,)))
    assert [row for table in kept.batches() for row in rows_of(table)] == plain(plan, [first])
    with pytest.raises(SnapshotError, match='make one with keep = "activations"'):
        kept_activations(manifest_of(plan, (1,), keep="nothing"))
