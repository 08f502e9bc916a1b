"""One small snapshot, written once."""

from pathlib import Path

import pytest

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.snapshots.manifests import RunManifest
from tests.downstream.dashboard.snapshot_files import Given, small, write_snapshot


@pytest.fixture(scope="session")
def given() -> Given:
    """What the small snapshot is made of."""
    return small()


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory, given: Given) -> RunManifest:
    """The manifest of the small snapshot."""
    folder: Path = tmp_path_factory.mktemp("store")
    return write_snapshot(str(folder), given)


@pytest.fixture(scope="session")
def snapshot(manifest: RunManifest) -> LoadedSnapshot:
    """The small snapshot, opened."""
    return open_snapshot(manifest)
