"""Finding a snapshot: from a store, a run's folder, a snapshot's folder or a manifest's path."""

import posixpath
from collections.abc import Sequence
from dataclasses import replace

from streams.errors import SnapshotError
from streams.names import is_name
from streams.snapshots.manifests import FINAL, RunManifest
from streams.snapshots.object_stores import address_of
from streams.snapshots.store import Store, open_store, read_manifest

_MANIFEST = "manifest.json"


def locate(address: str, run: str | None = None, snapshot: str | None = None) -> RunManifest:
    """Return the manifest of a snapshot; its ``store`` is where the files are found now.

    address: folder or fsspec address of a store, of a run in it, of a snapshot in that, or of its
    manifest. run: needed in a store of several. snapshot: by default ``final``. Raises
    SnapshotError that names what there is, and SnapshotFailedError for a snapshot that was given
    up.
    """
    store = open_store(address)
    try:
        folder = _folder(store, store.root.rstrip("/"), run, snapshot)
    except OSError as error:
        raise SnapshotError(f"cannot read {address}: {error.strerror or error}") from error
    manifest = read_manifest(store.files.unstrip_protocol(posixpath.join(folder, _MANIFEST)))
    if run not in (None, manifest.run) or snapshot not in (None, manifest.snapshot):
        raise SnapshotError(
            f"{address} holds snapshot {manifest.snapshot!r} of run {manifest.run!r}, not "
            f"{snapshot or manifest.snapshot!r} of {run or manifest.run!r}"
        )
    return moved_here(store, folder, manifest)


def moved_here(store: Store, folder: str, manifest: RunManifest) -> RunManifest:
    """Return a manifest that looks for its files beside its folder, if that is where they are."""
    root = posixpath.dirname(posixpath.dirname(folder))
    first = [posixpath.join(root, manifest.run, part.path) for part in manifest.files[:1]]
    if all(store.files.exists(path) for path in first):
        here = root if store.local else store.files.unstrip_protocol(root)
        return replace(manifest, store=here)
    return manifest


def _folder(store: Store, root: str, run: str | None, snapshot: str | None) -> str:
    """Return the folder of the snapshot under (or around) ``root``."""
    if posixpath.basename(root) == _MANIFEST:
        return posixpath.dirname(root)
    if store.files.exists(posixpath.join(root, _MANIFEST)):
        return root
    runs = [name for name in _folders(store, root) if _snapshots(store, posixpath.join(root, name))]
    if not runs and _snapshots(store, root):
        return _chosen(root, "snapshot", _snapshots(store, root), snapshot or FINAL)
    if not runs:
        where = address_of(store.files, root)
        raise SnapshotError(f"no snapshot at {where}: it is no store, run or snapshot")
    here = _chosen(root, "run", runs, run or (runs[0] if len(runs) == 1 else None))
    return _chosen(here, "snapshot", _snapshots(store, here), snapshot or FINAL)


def _chosen(folder: str, what: str, there: Sequence[str], wanted: str | None) -> str:
    if wanted in there:
        return posixpath.join(folder, str(wanted))
    known = ", ".join(there)
    if wanted is None:
        raise SnapshotError(f"{folder} holds several {what}s: name one of {known}")
    raise SnapshotError(f"{folder} has no {what} {wanted!r} (there are: {known})")


def _snapshots(store: Store, folder: str) -> list[str]:
    names = _folders(store, folder)
    return [n for n in names if store.files.exists(posixpath.join(folder, n, _MANIFEST))]


def _folders(store: Store, folder: str) -> list[str]:
    if not store.files.isdir(folder):
        return []
    entries = store.files.ls(folder, detail=True)
    names = (e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "directory")
    return sorted(name for name in names if is_name(name))
