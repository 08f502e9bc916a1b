"""Parts of snapshots that go missing while a run is under way: the run ends, and rightly."""

from pathlib import Path

import pytest

from consumers.snapshots import snapshots
from consumers.snapshots.snapshots import published, write_shard
from streams.snapshots.failed_manifest import find_failed
from streams.snapshots.manifests import FINAL, ShardManifest, shard_manifest
from streams.snapshots.table_hashes import verify
from streams.transport.client import Client
from tests import factories
from tests.service import Service, make_service


def test_a_mid_run_snapshot_that_lacks_a_part_never_keeps_the_run_from_its_end(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    """Its parts are there, one file is not; as after a worker that was paused went on."""
    service = make_service(broker, tmp_path, prefix)
    for shard in range(3):
        states = factories.complete_states(service.plan, shard)
        part = write_shard(service.plan, "so-far", shard, states, service.client)
    path_of(service, part).unlink()
    service.serve(1, 1, until=lambda: "" in entries(service, "so-far"))
    service.serve(1, 2)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    failed = find_failed(entries(service, "so-far")[""])
    assert failed is not None
    assert part.files[1].path in failed.failed


@pytest.mark.parametrize("workers", [1, 2])
def test_a_final_part_that_goes_missing_is_written_again_by_its_owner(
    broker: str, prefix: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(broker, tmp_path, prefix)
    real, lost = snapshots.publish, list[str]()

    def publish_and_lose(client: Client, key: str, value: bytes) -> None:
        if key.startswith(f"{prefix}/{FINAL}/") and lost.count(key) < 2:
            path = path_of(service, shard_manifest(value))
            path.write_bytes(b"junk") if lost.count(key) else path.unlink()
            lost.append(key)
        real(client, key, value)

    monkeypatch.setattr(snapshots, "publish", publish_and_lose)
    service.serve(1, workers)
    assert len(lost) == 6  # each of three shards was lost twice
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected() == verify(manifest)


def entries(service: Service, snapshot: str) -> dict[str, bytes]:
    return published(service.client, service.plan.run.name).get(snapshot, {})


def path_of(service: Service, part: ShardManifest) -> Path:
    """Return where the hits of a part lie."""
    return Path(service.plan.run.store) / service.plan.run.name / part.files[1].path
