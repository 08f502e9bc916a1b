"""A run whose name the store has snapshots of: refused, or the new one takes their place."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, count

from streams.catalog.runs import list_runs
from streams.errors import RunError, SnapshotError, SnapshotFailedError
from streams.names import check_name
from streams.snapshots.manifests import RunManifest
from streams.snapshots.run_files import RunFiles, find_run_files, remove_run_files
from streams.snapshots.store import Store, open_store, read_manifest
from streams.snapshots.stored_snapshots import snapshot_manifests
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What a store holds under a name: snapshots of a run that this broker knows nothing of.

    made: when the last one was made, as text. files: paths of theirs relative to the run's folder.
    """

    store: Store
    run: str
    snapshots: tuple[str, ...]
    made: str
    files: RunFiles

    @property
    def line(self) -> str:
        """What there is, for people."""
        return (
            f"the store {self.store.address} has snapshots of an earlier run {self.run!r} "
            f"({', '.join(self.snapshots)}; {self.made})"
        )

    def remove(self, successor: RunManifest | None = None) -> None:
        """Remove the files of the snapshots, except those that a new manifest names."""
        kept = set[str]()
        if successor is not None:
            kept = {f"{successor.snapshot}/manifest.json", *(p.path for p in successor.files)}
        owned = tuple(path for path in self.files.owned if path not in kept)
        remove_run_files(self.store, replace(self.files, owned=owned))


def earlier_run(
    client: Client, address: str, name: str, *, replacing: bool = False
) -> EarlierRun | None:
    """Return what a new run of a name would take the place of; None where there is nothing.

    A run that the broker knows is no new one: the snapshots are its own. Failed manifests are no
    snapshots. Raises RunError if there is something and it is not to be replaced, SettingsError
    if no run can have the name.
    """
    check_name(name, "run")
    if any(run.name == name for run in list_runs(client)):
        return None
    found = _find(open_store(address), name)
    if found is not None and not replacing:
        raise RunError(
            f"{found.line}: take another name (--run), or say --replace to put the new run in "
            "their place"
        )
    return found


def unused_name(client: Client, address: str, name: str) -> str:
    """Return a name without snapshots of another run: the given one, or it with a number."""
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    known = {run.name for run in list_runs(client)}
    store = open_store(address)
    return next(each for each in names if each in known or _find(store, each) is None)


def _find(store: Store, name: str) -> EarlierRun | None:
    snapshots, made, writers = list[str](), list[str](), set[str]()
    for snapshot, address in snapshot_manifests(store, name):
        try:
            manifest = read_manifest(address)
        except SnapshotFailedError:
            continue
        except SnapshotError:  # of another version, say: not ours to overwrite in silence
            made.append("unreadable")
        else:
            made.append(manifest.created)
            writers.add(manifest.run_id)
        snapshots.append(snapshot)
    if not snapshots:
        return None
    files = _files(find_run_files(store, name, writer, ()) for writer in sorted(writers))
    return EarlierRun(store, name, tuple(snapshots), max(made), files)


def _files(found: Iterable[RunFiles]) -> RunFiles:
    """Return the files of several writers in one folder."""
    each = list(found)
    owned = sorted({path for one in each for path in one.owned})
    return replace(each[0], owned=tuple(owned)) if each else RunFiles("")
