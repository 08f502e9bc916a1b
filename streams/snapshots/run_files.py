"""The files of one run in its store: which of them are its own, and removing those."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from streams.errors import SnapshotError
from streams.names import is_name
from streams.regular_files import NotRegularError, TooLargeError
from streams.snapshots.attachments import FOLDER as ATTACHMENTS
from streams.snapshots.failed_manifest import find_failed
from streams.snapshots.kept_files import is_kept_by
from streams.snapshots.manifests import run_manifest
from streams.snapshots.store import Store, manifest_bytes

MANIFEST = "manifest.json"
PARTS = "parts"
_TABLE = "[a-z0-9][a-z0-9_-]{0,79}"  # also one of another release
_PART = re.compile(rf"({_TABLE})-\d{{4,}}-[0-9a-f]{{16}}\.parquet")
_ATTACHED = re.compile(rf"[0-9a-f]{{64}}/{_TABLE}/{_TABLE}/(manifest\.json|{_PART.pattern})")
_DRAFT = re.compile(rf"(({_TABLE})-\d{{4,}}|manifest\.json)\.[0-9a-f]{{32}}\.tmp")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What lies in the folder of a run. Paths are relative to it.

    owned: files of this run, safe to remove, and their size in bytes. others: what something else
    put there, or another run of the same name needs; it stays.
    """

    folder: str
    owned: tuple[str, ...] = ()
    bytes: int = 0
    others: tuple[str, ...] = ()


def find_run_files(store: Store, run: str, run_id: str, listed: Iterable[str]) -> RunFiles:
    """Return the files of a run.

    listed: paths of parts that published manifests of the run name, relative to its folder. Only
    files with names as snapshots have them count, in the run's folder itself; links never do. If
    another run of the same name wrote to the folder, parts that no manifest of ours names stay.
    Kept activations have the run's id in their names.
    Raises SnapshotError if the store cannot be read.
    """
    folder = store.path(run)
    if not is_name(run):
        return RunFiles(folder)
    try:
        found = dict(_files(store, folder))
        ours, theirs, strangers = _named_by_manifests(store, folder, run_id, found)
    except OSError as error:
        raise SnapshotError(f"cannot read {folder}: {error.strerror or error}") from error
    ours |= set(listed)
    owned = {
        path
        for path in found
        if is_kept_by(path, run_id)
        or (path not in theirs and _has_our_form(path) and (path in ours or not strangers))
    }
    return RunFiles(
        folder,
        tuple(sorted(owned)),
        sum(found[path] for path in owned),
        tuple(sorted(set(found) - owned)),
    )


def remove_run_files(store: Store, files: RunFiles) -> None:
    """Remove what a run owns, and the folders that are empty then.

    Manifests go first, so that no reader follows one to parts that are gone. A file that is gone
    already is no error. Raises SnapshotError if one cannot be removed.
    """
    folders = {folder for path in files.owned for folder in _parents(path)}
    for path in sorted(files.owned, key=lambda path: (not path.endswith(MANIFEST), path)):
        try:
            store.files.rm_file(posixpath.join(files.folder, path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SnapshotError(
                f"cannot remove {files.folder}/{path}: {error.strerror or error}"
            ) from error
    for folder in [*sorted(folders, reverse=True), ""] if files.owned else []:
        with suppress(OSError, NotImplementedError):
            _remove_if_empty(store, posixpath.join(files.folder, folder).rstrip("/"))


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _remove_if_empty(store: Store, folder: str) -> None:
    if not store.files.ls(folder, detail=False):
        store.files.rmdir(folder)


def _files(store: Store, folder: str) -> Iterator[tuple[str, int]]:
    """Yield (relative path, size) of every file in the folder and in folders right in it.

    Of attachments also those deeper down.
    """
    for entry in _entries(store, folder):
        name = posixpath.basename(entry["name"].rstrip("/"))
        if entry["type"] == "directory" and not entry.get("islink"):
            yield from _inner_files(store, entry["name"], name, 3 if name == ATTACHMENTS else 0)
        else:
            yield f"{name} (not of a snapshot)", int(entry.get("size") or 0)


def _inner_files(store: Store, folder: str, name: str, deeper: int) -> Iterator[tuple[str, int]]:
    for inner in _entries(store, folder):
        path = posixpath.join(name, posixpath.basename(inner["name"].rstrip("/")))
        plain = inner["type"] == "file" and not inner.get("islink")
        if deeper and inner["type"] == "directory" and not inner.get("islink"):
            yield from _inner_files(store, inner["name"], path, deeper - 1)
        else:
            yield path if plain else f"{path} (no plain file)", int(inner.get("size") or 0)


def _entries(store: Store, folder: str) -> list[dict[str, Any]]:
    store.files.invalidate_cache()
    try:
        if store.files.info(folder).get("islink"):
            return []
        found: list[dict[str, Any]] = store.files.ls(folder, detail=True)
    except FileNotFoundError:
        return []
    return [entry for entry in found if entry["name"] != folder]


def _named_by_manifests(
    store: Store, folder: str, run_id: str, found: Iterable[str]
) -> tuple[set[str], set[str], bool]:
    """Return the paths of this run's manifests and parts, those of others, and if there are any."""
    ours, theirs, strangers = set[str](), set[str](), False
    for path in found:
        if posixpath.basename(path) != MANIFEST:
            continue
        try:
            data = manifest_bytes(store, posixpath.join(folder, path))
        except (NotRegularError, TooLargeError):
            continue
        if (failed := find_failed(data)) is not None:
            writer, named = failed.run_id, {path}
        else:
            try:
                manifest = run_manifest(data)
            except SnapshotError:
                continue
            writer, named = manifest.run_id, {path, *(part.path for part in manifest.files)}
        if writer == run_id:
            ours |= named
        else:
            theirs |= named
            strangers = True
    return ours, theirs, strangers


def _has_our_form(path: str) -> bool:
    folder, _, name = path.partition("/")
    if folder == ATTACHMENTS:
        return _ATTACHED.fullmatch(name) is not None
    if folder == PARTS:
        return bool(_PART.fullmatch(name) or _DRAFT.fullmatch(name))
    return is_name(folder) and (name == MANIFEST or _DRAFT.fullmatch(name) is not None)
