"""Store: where snapshots' files are kept, a folder or an object store, through fsspec."""

import hashlib
import io
import posixpath
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from streams import regular_files
from streams.bounds import shown
from streams.credentials import expect_no_credentials
from streams.errors import DamagedPartError, SnapshotError, StoreError
from streams.names import is_inner_path
from streams.regular_files import NotRegularError
from streams.snapshots.drafts import DraftFile, draft
from streams.snapshots.failed_manifest import FailedManifest
from streams.snapshots.manifests import MAX_MANIFEST_BYTES, RunManifest, run_manifest, to_json
from streams.snapshots.object_stores import address_of, opened
from streams.snapshots.parquet.page_headers import PageError
from streams.snapshots.parquet.pieces import ParquetEncoder
from streams.snapshots.parquet.reading import BudgetedParquet, OtherColumnsError, decoded_limit
from streams.snapshots.parquet.row_filters import Filters
from streams.snapshots.store_errors import os_errors
from streams.snapshots.table_entry import PartFile, TableEntry, find_entry
from streams.snapshots.tables import TABLES

IN_THE_ENVIRONMENT = (
    "give them to its file system in the environment, such as AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or FSSPEC_FTP_USERNAME and FSSPEC_FTP_PASSWORD"
)
_FOLDERS = ("file", "local", "memory", "hdfs", "ftp", "sftp")
_KINDS = (*_FOLDERS, "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl")
_LONGEST_ADDRESS = 4096
_BIN_BYTES = 12  # of a histogram: a count, and what goes beside it while it is decoded
_LEAST_ROW = 8  # bytes of a row of ``clusters``, which has a label and members of its own
_CHECKED_BYTES = 64 * 1024
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Store:
    """A place for snapshots: ``files`` is an fsspec filesystem, ``root`` a path in it."""

    address: str
    files: Any
    root: str

    def path(self, *parts: str) -> str:
        """Return the path of something in the store.

        Raises SnapshotError for what would lie outside it, wherever the parts come from.
        """
        inner = "/".join(parts)
        if not is_inner_path(inner):
            raise SnapshotError(f"{shown(inner)} is no path inside the store {self.address}")
        return posixpath.join(self.root, inner)

    def address_of(self, *parts: str) -> str:
        """Return the path of something in the store with its scheme, as people can use it."""
        return address_of(self.files, self.path(*parts))

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.files, LocalFileSystem)


def open_store(address: str) -> Store:
    """Return the store at a folder or address such as ``s3://bucket/folder``.

    Raises SnapshotError if the address is of no known kind: manifests and run records name stores,
    too, so that only file systems are opened that keep files, and none through another (``::``).
    Raises SettingsError if it holds a password, which whoever can read them would see.
    """
    expect_no_credentials(address, "store", IN_THE_ENVIRONMENT)
    kind, _ = fsspec.core.split_protocol(address)
    if len(address) > _LONGEST_ADDRESS or "::" in address or not address.isprintable():
        raise SnapshotError(f"store {shown(address)} cannot be opened: it is no plain address")
    if kind is not None and kind not in _KINDS:
        raise SnapshotError(
            f"store {shown(address)} cannot be opened: {kind} is none of {', '.join(_KINDS)}"
        )
    try:
        files, root = opened(address)
    except (ValueError, ImportError) as error:
        raise SnapshotError(f"store {shown(address)} cannot be opened: {error}") from error
    return Store(address, files, root)


def check_store(address: str) -> None:
    """Raise SnapshotError unless files can be written to a store; nothing stays there."""
    store = open_store(address)
    path = store.path(f"check-{uuid.uuid4().hex}")
    there = _exists(store, store.root)
    try:
        write_file(store, path, bytes(_CHECKED_BYTES))
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
    with _draft(store, store.path(run, folder, stem)) as made:
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
    write_file(store, path, to_json(manifest))
    return path


def write_file(store: Store, path: str, data: bytes) -> None:
    """Write a file that appears whole; raises StoreError if it cannot be written."""
    with _draft(store, path) as made:
        made.add(data)


@contextmanager
def _draft(store: Store, path: str) -> Iterator[DraftFile]:
    """Yield a draft (see drafts.py) of a file that will lie in the store and nowhere else."""
    try:
        if store.local:
            regular_files.expect_inside(store.root, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; take another store") from error
    with draft(store.files, path) as made:
        yield made


def _exists(store: Store, path: str) -> bool:
    try:
        return bool(store.files.exists(path))
    except OSError:
        return False


def read_manifest(path: str) -> RunManifest:
    """Return the run manifest at ``path`` (the file, or the folder it lies in).

    Raises SnapshotError, at once, if there is none or what is there is no regular file, and
    SnapshotFailedError if a failed one stands there.
    """
    store = open_store(path)
    inner = store.root
    try:
        if store.files.isdir(inner):
            inner = posixpath.join(inner, "manifest.json")
        return run_manifest(manifest_bytes(store, inner))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SnapshotError(f"no snapshot at {path}: {reason}") from error


def manifest_bytes(store: Store, path: str) -> bytes:
    """Return the bytes of a manifest in a store.

    Raises OSError if it cannot be read, is no regular file, or has more than a manifest may have.
    """
    if store.local:
        return regular_files.read_bounded(path, MAX_MANIFEST_BYTES, links=False)
    with os_errors():
        if store.files.size(path) > MAX_MANIFEST_BYTES:
            raise regular_files.TooLargeError(path, MAX_MANIFEST_BYTES)
        return bytes(store.files.cat_file(path))


class TableManifest(Protocol):
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
    manifest: TableManifest,
    name: str,
    *,
    columns: Iterable[str] | None = None,
    filters: Filters | None = None,
    check: bool = False,
) -> pa.Table:
    """Return one table, all files in order.

    filters: see ``row_filters``; only row groups that can match are read. check: compare each file
    with its checksum first. Raises DamagedPartError if a file is missing, damaged, no regular file,
    not of the size and rows that the manifest says, of other columns, or takes more memory than
    such a file may; StoreError if the store cannot be read, and SnapshotError if there is no such
    table or column.
    """
    schema = expected_schema(manifest, name)
    store = open_store(manifest.store)
    wanted = list(columns) if columns is not None else schema.names
    if absent := [column for column in wanted if column not in schema.names]:
        raise SnapshotError(f"the table {name!r} has no column {absent[0]!r}")
    parts = []
    for part in _parts(manifest, name):
        with _opened(store, manifest, part, schema, check=check) as file:
            parts.append(file.table(wanted, filters))
    return pa.concat_tables(parts) if parts else schema.empty_table().select(wanted)


def expected_schema(manifest: TableManifest, name: str) -> pa.Schema:
    """Return the columns of a table as its manifest lists them; raises SnapshotError for none."""
    entry = find_entry(manifest.tables, name)
    if entry is None:
        known = ", ".join(each.name for each in manifest.tables) or "none"
        raise SnapshotError(f"there is no table {name!r} (there are: {known})")
    return entry.schema


def read_pieces(
    manifest: TableManifest,
    name: str,
    *,
    columns: Iterable[str] | None = None,
    size: int = 8192,
    check: bool = False,
) -> list[Iterator[pa.RecordBatch]]:
    """Return, per file of a table, its rows in pieces of ``size``.

    Nothing is read before it is asked for. columns: in the order of the table's. check and errors:
    as for ``read_table``.
    """
    store, schema = open_store(manifest.store), expected_schema(manifest, name)
    wanted = None if columns is None else list(columns)
    return [
        _pieces(store, manifest, part, schema, wanted, size, check=check)
        for part in _parts(manifest, name)
    ]


def _pieces(
    store: Store,
    manifest: TableManifest,
    part: PartFile,
    schema: pa.Schema,
    columns: list[str] | None,
    size: int,
    *,
    check: bool,
) -> Iterator[pa.RecordBatch]:
    with _opened(store, manifest, part, schema, check=check) as file:
        yield from file.pieces(size, columns)


def _parts(manifest: TableManifest, name: str) -> list[PartFile]:
    return [part for part in manifest.files if part.table == name]


@contextmanager
def _opened(
    store: Store, manifest: TableManifest, part: PartFile, schema: pa.Schema, *, check: bool
) -> Iterator[BudgetedParquet]:
    path = store.path(manifest.run, part.path)
    if check:
        check_part(store, manifest.run, part)
    try:
        with os_errors(), _file(store, path) as file:
            size = file.seek(0, io.SEEK_END)
            rows = BudgetedParquet(
                file,
                size=size,
                rows=part.rows,
                limit=decoded_limit(size, _histogram_bytes(manifest, part)),
                schema=schema,
            )
            with closing(rows):
                if size != part.bytes:
                    raise PageError(f"it has {size:,} bytes, the manifest says {part.bytes:,}")
                yield rows
    except OtherColumnsError as error:
        text = f"{part.path} has other columns than it is listed with"
        raise DamagedPartError(part.path, text) from error
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise _unreadable(path, part, error) from error


def check_part(store: Store, run: str, part: PartFile) -> None:
    """Raise DamagedPartError unless a file is there and is what was written.

    Raises StoreError if that cannot be seen.
    """
    path = store.path(run, part.path)
    digest, size = hashlib.sha256(), 0
    try:
        with os_errors(), _file(store, path) as file:
            while size <= part.bytes and (block := file.read(_BLOCK_BYTES)):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise _unreadable(path, part, error) from error
    if (size, digest.hexdigest()) != (part.bytes, part.sha256):
        raise DamagedPartError(part.path, f"{path} is damaged: its checksum is not the manifest's")


def _file(store: Store, path: str) -> Any:
    """Open a file of a store; of a folder, only one that lies in it and is a regular file."""
    if not store.local:
        return store.files.open(path, "rb")
    regular_files.expect_inside(store.root, path)
    return regular_files.open_regular(path, links=False)


def _histogram_bytes(manifest: TableManifest, part: PartFile) -> int:
    """Return what the histograms of a file may take, which cost no bytes where nothing fired."""
    if part.table != "clusters" or not isinstance(manifest, RunManifest):
        return 0
    bins = len(manifest.about.get("edges", ())) + 1
    return _BIN_BYTES * bins * min(part.rows, part.bytes // _LEAST_ROW)


def _unreadable(path: str, part: PartFile, error: Exception) -> SnapshotError:
    """Return what is wrong: the file, or else the way to it."""
    said = getattr(error, "strerror", None) or str(error)
    reason = said.strip().partition("\n")[0] or type(error).__name__
    text = f"cannot read {path}: {reason}"
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    # Arrow has plain OSErrors without a number for bytes that make no sense.
    senseless = type(error) is OSError and error.errno is None
    if missing or senseless or not isinstance(error, OSError) or isinstance(error, NotRegularError):
        return DamagedPartError(part.path, text)
    return StoreError(text)
