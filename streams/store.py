"""Where the files of snapshots are kept: a folder or an object store, through fsspec."""

import hashlib
import posixpath
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.credentials import expect_no_credentials
from streams.drafts import draft
from streams.errors import DamagedPartError, SnapshotError, StoreError
from streams.failed_manifest import FailedManifest
from streams.parquet import ParquetEncoder
from streams.snapshot import RunManifest, run_manifest, to_json
from streams.snapshot_tables import TABLES
from streams.table_entry import PartFile, TableEntry, find_entry

IN_THE_ENVIRONMENT = (
    "give them to its file system in the environment, such as AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or FSSPEC_FTP_USERNAME and FSSPEC_FTP_PASSWORD"
)
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

    Raises SnapshotError if the address is of no known kind, SettingsError if it holds a password:
    records and manifests name their store to whoever can read them.
    """
    expect_no_credentials(address, "store", IN_THE_ENVIRONMENT)
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
    store: Store,
    run: str,
    name: str,
    shard: int,
    table: pa.Table | Iterable[pa.Table],
    *,
    schema: pa.Schema | None = None,
    folder: str = "parts",
) -> PartFile:
    """Write one table of one shard; the file is named after its content and appears whole.

    schema: by default that of the snapshot's table ``name``. folder: in the run's. Of a table that
    comes in pieces, only one piece at a time is in memory.
    """
    stem = f"{name}-{shard:04d}"
    rows, encoder = 0, ParquetEncoder(TABLES[name].schema if schema is None else schema)
    with draft(store.files, store.path(run, folder, stem)) as made:
        for piece in [table] if isinstance(table, pa.Table) else table:
            rows += len(piece)
            made.add(encoder.add(piece))
            del piece  # or it stays while the next one is made
        made.add(encoder.end())
        digest = made.digest.hexdigest()
        relative = posixpath.join(folder, f"{stem}-{digest[:16]}.parquet")
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


class Listed(Protocol):
    """What lists tables and their files: a run manifest, or that of an attachment."""

    @property
    def store(self) -> str:
        """Folder or address that the run's folder lies in."""

    @property
    def run(self) -> str:
        """The run's name."""

    @property
    def tables(self) -> tuple[TableEntry, ...]:
        """The tables."""

    @property
    def files(self) -> tuple[PartFile, ...]:
        """Their files, each table's in the order of its rows."""


def read_table(
    manifest: Listed,
    name: str,
    *,
    columns: Iterable[str] | None = None,
    filters: Any = None,
    check: bool = False,
) -> pa.Table:
    """Return one table, all files in order.

    filters: as pyarrow takes them, to read only the row groups that can match. check: compare each
    file with its checksum first. Raises DamagedPartError if a file is missing or damaged,
    StoreError if the store cannot be read, and SnapshotError if there is no such table or column.
    """
    schema = expected_schema(manifest, name)
    store = open_store(manifest.store)
    wanted = list(columns) if columns is not None else schema.names
    if absent := [column for column in wanted if column not in schema.names]:
        raise SnapshotError(f"the table {name!r} has no column {absent[0]!r}")
    parts = []
    for part in _parts(manifest, name):
        with _opened(store, manifest, part, check=check) as file:
            parts.append(pq.read_table(file, columns=wanted, filters=filters))
    return pa.concat_tables(parts) if parts else schema.empty_table().select(wanted)


def expected_schema(manifest: Listed, name: str) -> pa.Schema:
    """Return the columns of a table as its manifest lists them; raises SnapshotError for none."""
    entry = find_entry(manifest.tables, name)
    if entry is None:
        known = ", ".join(each.name for each in manifest.tables) or "none"
        raise SnapshotError(f"there is no table {name!r} (there are: {known})")
    return entry.schema


def read_pieces(
    manifest: Listed,
    name: str,
    *,
    columns: Iterable[str] | None = None,
    size: int = 8192,
    check: bool = False,
) -> list[Iterator[pa.RecordBatch]]:
    """Return, per file of a table, its rows in pieces of ``size``.

    Nothing is read before it is asked for. columns: in the order of the table's. check and errors:
    as for ``read_table``; a file with other columns than the manifest lists raises
    DamagedPartError, too.
    """
    store, schema = open_store(manifest.store), expected_schema(manifest, name)
    wanted = None if columns is None else list(columns)
    return [
        _pieces(store, manifest, part, schema, wanted, size, check=check)
        for part in _parts(manifest, name)
    ]


def _pieces(
    store: Store,
    manifest: Listed,
    part: PartFile,
    schema: pa.Schema,
    columns: list[str] | None,
    size: int,
    *,
    check: bool,
) -> Iterator[pa.RecordBatch]:
    # Arrow's readers ahead of time would fetch the whole file, and decode it in threads that wait
    # for each other: slower, too.
    with (
        _opened(store, manifest, part, check=check) as file,
        pq.ParquetFile(file, pre_buffer=False) as rows,
    ):
        if not rows.schema_arrow.equals(schema):
            raise DamagedPartError(
                part.path, f"{part.path} has other columns than it is listed with"
            )
        yield from rows.iter_batches(size, columns=columns, use_threads=False)


def _parts(manifest: Listed, name: str) -> list[PartFile]:
    return [part for part in manifest.files if part.table == name]


@contextmanager
def _opened(store: Store, manifest: Listed, part: PartFile, *, check: bool) -> Iterator[Any]:
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
