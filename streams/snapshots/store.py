"""Store: where snapshots' files are kept, a folder or an object store, through fsspec."""

import posixpath
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from streams import regular_files
from streams.bounds import shown
from streams.credentials import expect_no_credentials
from streams.errors import SnapshotError, StoreError
from streams.names import is_inner_path
from streams.snapshots.drafts import DraftFile, draft
from streams.snapshots.failed_manifest import FailedManifest
from streams.snapshots.manifests import MAX_MANIFEST_BYTES, RunManifest, run_manifest, to_json
from streams.snapshots.object_stores import address_of, opened
from streams.snapshots.parquet.pieces import ParquetEncoder
from streams.snapshots.store_errors import os_errors
from streams.snapshots.table_entry import PartFile
from streams.snapshots.tables import TABLES

IN_THE_ENVIRONMENT = (
    "give them to its file system in the environment, such as AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or FSSPEC_FTP_USERNAME and FSSPEC_FTP_PASSWORD"
)
_FOLDERS = ("file", "local", "memory", "hdfs", "ftp", "sftp")
_KINDS = (*_FOLDERS, "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl")
_LONGEST_ADDRESS = 4096
_CHECKED_BYTES = 64 * 1024


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
    there = file_exists(store, store.root)
    try:
        write_file(store, path, bytes(_CHECKED_BYTES))
        store.files.rm(path)
    finally:
        if not there and file_exists(store, store.root):
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
    write_pieces(store, path, [data])


def write_pieces(store: Store, path: str, pieces: Iterable[bytes]) -> None:
    """Write a file that appears whole once the last piece is there; errors as ``write_file``."""
    with _draft(store, path) as made:
        for piece in pieces:
            made.add(piece)


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


def file_exists(store: Store, path: str) -> bool:
    """Return whether something lies at a path, as far as can be seen."""
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
