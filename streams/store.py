"""Where the files of snapshots are kept: a folder or an object store, through fsspec."""

import hashlib
import posixpath
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.content import expect_columns
from streams.drafts import draft
from streams.errors import DamagedPartError, SnapshotError, StoreError
from streams.failed_manifest import FailedManifest
from streams.parquet import ParquetEncoder
from streams.snapshot import TABLES, PartFile, RunManifest, run_manifest, to_json

_CHECKED_BYTES = 64 * 1024
_BLOCK_BYTES = 2**20


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


def write_part(
    store: Store, run: str, name: str, shard: int, table: pa.Table | Iterable[pa.Table]
) -> PartFile:
    """Write one table of one shard; the file is named after its content and appears whole.

    Of a table that comes in pieces, only one piece at a time is in memory.
    """
    stem = f"{name}-{shard:04d}"
    rows, encoder = 0, ParquetEncoder(TABLES[name])
    with draft(store.files, store.path(run, "parts", stem)) as made:
        for piece in [table] if isinstance(table, pa.Table) else table:
            rows += len(piece)
            made.add(encoder.add(piece))
            del piece  # or it stays while the next one is made
        made.add(encoder.end())
        digest = made.digest.hexdigest()
        relative = posixpath.join("parts", f"{stem}-{digest[:16]}.parquet")
        made.path = store.path(run, relative)
    return PartFile(name, relative, rows, made.size, digest)


def write_manifest(store: Store, manifest: RunManifest | FailedManifest) -> str:
    """Write a run manifest, or a failed one in its place, last of all, and return its path."""
    path = store.path(manifest.run, manifest.snapshot, "manifest.json")
    _write_whole(store, path, to_json(manifest))
    return path


def _write_whole(store: Store, path: str, data: bytes) -> None:
    with draft(store.files, path) as made:
        made.add(data)


def _exists(store: Store, path: str) -> bool:
    try:
        return bool(store.files.exists(path))
    except OSError:
        return False


def read_manifest(path: str) -> RunManifest:
    """Return the run manifest at ``path`` (the file, or the folder it lies in).

    Raises SnapshotError if there is none, and SnapshotFailedError if a failed one stands there.
    """
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
    file with its checksum first. Raises DamagedPartError if a file is missing or damaged, and
    StoreError if the store cannot be read.
    """
    store = open_store(manifest.store)
    wanted = list(columns) if columns is not None else None
    parts = []
    for part in _parts(manifest, name):
        with _opened(store, manifest, part, check=check) as file:
            parts.append(pq.read_table(file, columns=wanted, filters=filters))
    if parts:
        return pa.concat_tables(parts)
    empty = TABLES[name].empty_table()
    return empty if wanted is None else empty.select(wanted)


def read_pieces(
    manifest: RunManifest, name: str, *, size: int = 8192, check: bool = False
) -> list[Iterator[pa.RecordBatch]]:
    """Return, per file of a table and in the order of shards, its rows in pieces of ``size``.

    Nothing is read before it is asked for. check and errors: as for ``read_table``; a file with
    other columns than the table's raises DamagedPartError, too.
    """
    store = open_store(manifest.store)
    parts = _parts(manifest, name)
    return [_pieces(store, manifest, part, size, check=check) for part in parts]


def _pieces(
    store: Store, manifest: RunManifest, part: PartFile, size: int, *, check: bool
) -> Iterator[pa.RecordBatch]:
    # Arrow's readers ahead of time would fetch the whole file, and decode it in threads that wait
    # for each other: slower, too.
    with (
        _opened(store, manifest, part, check=check) as file,
        pq.ParquetFile(file, pre_buffer=False) as rows,
    ):
        try:
            expect_columns(part.table, rows.schema_arrow)
        except SnapshotError as error:
            raise DamagedPartError(part.path, str(error)) from error
        yield from rows.iter_batches(size, use_threads=False)


def _parts(manifest: RunManifest, name: str) -> list[PartFile]:
    return [part for part in manifest.files if part.table == name]


@contextmanager
def _opened(store: Store, manifest: RunManifest, part: PartFile, *, check: bool) -> Iterator[Any]:
    path = store.path(manifest.run, part.path)
    if check:
        check_part(store, manifest.run, part)
    try:
        with store.files.open(path, "rb") as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, part, error) from error


def check_part(store: Store, run: str, part: PartFile) -> None:
    """Raise DamagedPartError unless a file is there and is what was written.

    Raises StoreError if that cannot be seen.
    """
    path = store.path(run, part.path)
    digest, size = hashlib.sha256(), 0
    try:
        with store.files.open(path, "rb") as file:
            while size <= part.bytes and (block := file.read(_BLOCK_BYTES)):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise _unreadable(path, part, error) from error
    if (size, digest.hexdigest()) != (part.bytes, part.sha256):
        raise DamagedPartError(part.path, f"{path} is damaged: its checksum is not the manifest's")


def _unreadable(path: str, part: PartFile, error: Exception) -> SnapshotError:
    """Return what is wrong: the file, or else the way to it."""
    reason = str(error).partition("\n")[0] or type(error).__name__
    text = f"cannot read {path}: {reason}"
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    # Arrow has plain OSErrors without a number for bytes that make no sense.
    senseless = type(error) is OSError and error.errno is None
    if missing or senseless or isinstance(error, pa.ArrowException):
        return DamagedPartError(part.path, text)
    return StoreError(text)
