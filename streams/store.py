"""Where the files of snapshots are kept: a folder or an object store, through fsspec."""

import hashlib
import io
import posixpath
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.errors import SnapshotError
from streams.snapshot import TABLES, PartFile, RunManifest, run_manifest, to_json

_ROWS_PER_GROUP = 4096
_CHECKED_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Store:
    """A place for snapshots: ``files`` is an fsspec filesystem, ``root`` a path in it."""

    address: str
    files: Any
    root: str

    def path(self, *parts: str) -> str:
        """Return the path of something in the store."""
        return posixpath.join(self.root, *parts)


def open_store(address: str) -> Store:
    """Return the store at a folder or address such as ``s3://bucket/folder``.

    Raises SnapshotError if the address is of no known kind.
    """
    try:
        files, root = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise SnapshotError(f"store {address!r} cannot be opened: {error}") from error
    return Store(address, files, root)


def check_store(address: str) -> None:
    """Raise SnapshotError unless files can be written to a store; nothing stays there."""
    store = open_store(address)
    path = store.path(f"check-{uuid.uuid4().hex}")
    there = _exists(store, store.root)
    try:
        _write_whole(store, path, bytes(_CHECKED_BYTES))
        store.files.rm(path)
    finally:
        if not there and _exists(store, store.root):
            with suppress(OSError):
                store.files.rmdir(store.root)


def write_part(store: Store, run: str, name: str, shard: int, table: pa.Table) -> PartFile:
    """Write one table of one shard; the file is named after its content and appears whole."""
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression="zstd", row_group_size=_ROWS_PER_GROUP, write_page_index=True
    )
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    relative = posixpath.join("parts", f"{name}-{shard:04d}-{digest[:16]}.parquet")
    _write_whole(store, store.path(run, relative), data)
    return PartFile(name, relative, len(table), len(data), digest)


def write_manifest(store: Store, manifest: RunManifest) -> str:
    """Write a run manifest, last of all, and return its path."""
    path = store.path(manifest.run, manifest.snapshot, "manifest.json")
    _write_whole(store, path, to_json(manifest))
    return path


def _write_whole(store: Store, path: str, data: bytes) -> None:
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        store.files.makedirs(posixpath.dirname(path), exist_ok=True)
        with store.files.open(temporary, "wb") as file:
            file.write(data)
        store.files.mv(temporary, path)
    except OSError as error:
        _remove_quietly(store, temporary)
        what = f"cannot write {path}: {error.strerror or error}"
        raise SnapshotError(f"{what}; make room there or take another store") from error


def _remove_quietly(store: Store, path: str) -> None:
    with suppress(OSError):
        if store.files.exists(path):
            store.files.rm(path)


def _exists(store: Store, path: str) -> bool:
    try:
        return bool(store.files.exists(path))
    except OSError:
        return False


def read_manifest(path: str) -> RunManifest:
    """Return the run manifest at ``path`` (the file, or the folder it lies in)."""
    store = open_store(path)
    inner = store.root
    try:
        if store.files.isdir(inner):
            inner = posixpath.join(inner, "manifest.json")
        return run_manifest(store.files.cat_file(inner))
    except OSError as error:
        raise SnapshotError(f"no snapshot at {path}: {error.strerror or error}") from error


def read_table(
    manifest: RunManifest,
    name: str,
    *,
    columns: Iterable[str] | None = None,
    filters: Any = None,
    check: bool = False,
) -> pa.Table:
    """Return one table of a snapshot, all shards in order.

    filters: as pyarrow takes them, to read only the row groups that can match. check: compare each
    file with its checksum first. Raises SnapshotError if a file is missing or damaged.
    """
    store = open_store(manifest.store)
    wanted = list(columns) if columns is not None else None
    parts = []
    for part in (p for p in manifest.files if p.table == name):
        path = store.path(manifest.run, part.path)
        try:
            if check:
                _check(store, path, part)
            with store.files.open(path, "rb") as file:
                parts.append(pq.read_table(file, columns=wanted, filters=filters))
        except (OSError, pa.ArrowException) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise SnapshotError(f"cannot read {path}: {reason}") from error
    if parts:
        return pa.concat_tables(parts)
    empty = TABLES[name].empty_table()
    return empty if wanted is None else empty.select(wanted)


def _check(store: Store, path: str, part: PartFile) -> None:
    if hashlib.sha256(store.files.cat_file(path)).hexdigest() != part.sha256:
        raise SnapshotError(f"{path} is damaged: its checksum is not the manifest's")
