"""The manifests in a store: all runs and snapshots that lie there."""

import logging
from typing import Any

from downstream.dashboard.manifest_sources import Manifest
from downstream.reading.locating import moved_here
from streams.errors import SnapshotError, StreamError
from streams.snapshots.failed_manifest import find_failed
from streams.snapshots.manifests import RunManifest, run_manifest
from streams.snapshots.store import Store, manifest_bytes, open_store
from streams.snapshots.stored_snapshots import run_names, snapshot_manifests

_log = logging.getLogger(__name__)


class StoreSource:
    """What lies in a store now; a manifest is read again when its file changed."""

    def __init__(self, address: str) -> None:
        self._store = open_store(address)
        self._known: dict[str, tuple[Any, Manifest | None]] = {}

    def __call__(self) -> list[Manifest]:
        """Return all manifests that can be read. Raises SnapshotError if the store cannot be."""
        store, found = self._store, {}
        store.files.invalidate_cache()
        for run in run_names(store):
            for _, address in snapshot_manifests(store, run):
                path = store.files._strip_protocol(address)
                stamp = _stamp(store, path)
                before = self._known.get(path)
                found[path] = (
                    before if before and before[0] == stamp else (stamp, _read(store, run, path))
                )
        self._known = found
        return [manifest for _, manifest in found.values() if manifest is not None]


def _stamp(store: Store, path: str) -> Any:
    """Return what changes when a file does, as far as its file system tells."""
    info = store.files.info(path)
    return [info.get(name) for name in ("size", "mtime", "ino", "ETag", "LastModified")]


def _read(store: Store, run: str, path: str) -> Manifest | None:
    """Return a manifest whose files are found where it lies; what is none is logged."""
    try:
        data = manifest_bytes(store, path)
        manifest: Manifest = find_failed(data) or run_manifest(data)
        if manifest.run != run:
            raise SnapshotError("it is the manifest of another run")
    except (OSError, StreamError) as error:
        _log.error("manifest skipped: %s: %s", path, error)
        return None
    if isinstance(manifest, RunManifest):
        return moved_here(store, path.rpartition("/")[0], manifest)
    return manifest


def is_store(address: str) -> bool:
    """Return whether runs with snapshots lie at an address. Raises SnapshotError."""
    store = open_store(address)
    return any(True for run in run_names(store) for _ in snapshot_manifests(store, run))
