"""Snapshots found in a store by looking, for those who have no broker to ask."""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.errors import SnapshotError, SnapshotFailedError
from streams.names import is_name
from streams.snapshots.object_stores import address_of
from streams.snapshots.run_files import MANIFEST
from streams.snapshots.store import Store, open_store, read_manifest


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot in a store. manifest: its path. problem: why it cannot be read, if so."""

    run: str
    snapshot: str
    manifest: str
    final: bool = False
    created: str | None = None
    content: str | None = None
    problem: str | None = None


def find_snapshots(address: str) -> list[StoredSnapshot]:
    """Return the snapshots in a store, by run and name; a store that does not exist has none.

    Raises SnapshotError if the store cannot be read.
    """
    store = open_store(address)
    found = []
    for run in run_names(store):
        for snapshot, manifest in snapshot_manifests(store, run):
            path = store.path(run, snapshot, MANIFEST)
            found.append(_read(run, snapshot, path, manifest))
    return found


def run_names(store: Store) -> Iterator[str]:
    """Yield the names of folders in a store that may be runs; raises SnapshotError."""
    yield from _folders(store, store.root)


def snapshot_manifests(store: Store, run: str) -> Iterator[tuple[str, str]]:
    """Yield the names of a run's snapshots in a store, and the addresses of their manifests.

    Raises SnapshotError if the store cannot be read.
    """
    for snapshot in _folders(store, store.path(run)):
        path = store.path(run, snapshot, MANIFEST)
        if store.files.isfile(path):
            yield snapshot, store.files.unstrip_protocol(path)


def _read(run: str, snapshot: str, path: str, address: str) -> StoredSnapshot:
    shown = path if address.startswith("file://") else address
    try:
        manifest = read_manifest(address)
    except (SnapshotError, SnapshotFailedError) as error:
        return StoredSnapshot(run, snapshot, shown, problem=str(error))
    return StoredSnapshot(run, snapshot, shown, manifest.final, manifest.created, manifest.content)


def _folders(store: Store, path: str) -> Iterator[str]:
    try:
        entries = store.files.ls(path, detail=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SnapshotError(
            f"cannot read {address_of(store.files, path)}: {error.strerror or error}"
        ) from error
    names = (e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "directory")
    yield from sorted(name for name in names if is_name(name))
