"""Reading the tables of a snapshot: their files are checked, and read within bounds."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

import pyarrow as pa

from streams import regular_files
from streams.errors import DamagedPartError, SnapshotError, StoreError
from streams.regular_files import NotRegularError
from streams.snapshots.manifests import RunManifest
from streams.snapshots.parquet.page_headers import PageError
from streams.snapshots.parquet.reading import (
    BudgetedParquet,
    DecodeBudget,
    OtherColumnsError,
    decoded_limit,
)
from streams.snapshots.parquet.row_filters import Filters
from streams.snapshots.store import Store, open_store
from streams.snapshots.store_errors import os_errors
from streams.snapshots.table_entry import PartFile, TableEntry, find_entry

_BIN_BYTES = 12  # of a histogram: a count, and what goes beside it while it is decoded
_LEAST_ROW = 8  # bytes of a row of ``clusters``, which has a label and members of its own
_BLOCK_BYTES = 2**20


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
    for part in parts_of(manifest, name):
        with opened_part(store, manifest, part, schema, check=check) as file:
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
        for part in parts_of(manifest, name)
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
    with opened_part(store, manifest, part, schema, check=check) as file:
        yield from file.pieces(size, columns)


def parts_of(manifest: TableManifest, name: str) -> list[PartFile]:
    """Return the files of a table, in the order of its rows."""
    return [part for part in manifest.files if part.table == name]


@contextmanager
def opened_part(
    store: Store,
    manifest: TableManifest,
    part: PartFile,
    schema: pa.Schema,
    *,
    check: bool = False,
    footer: Any = None,
    budget: DecodeBudget | None = None,
) -> Iterator[BudgetedParquet]:
    """Yield one file of a table, to be read; check and errors are those of ``read_table``.

    footer: of the file, if it was read before. budget: by default one of its own.
    """
    path = store.path(manifest.run, part.path)
    if check:
        check_part(store, manifest.run, part)
    try:
        with os_errors(), open_file(store, path) as file:
            size = file.seek(0, io.SEEK_END)
            rows = BudgetedParquet(
                file,
                size=size,
                rows=part.rows,
                budget=budget or budget_of(manifest, part),
                schema=schema,
                footer=footer,
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


def budget_of(manifest: TableManifest, part: PartFile) -> DecodeBudget:
    """Return what a file of the size that the manifest says may take when it is decoded."""
    return DecodeBudget(decoded_limit(part.bytes, _histogram_bytes(manifest, part)))


def check_part(store: Store, run: str, part: PartFile) -> None:
    """Raise DamagedPartError unless a file is there and is what was written.

    Raises StoreError if that cannot be seen.
    """
    path = store.path(run, part.path)
    digest, size = hashlib.sha256(), 0
    try:
        with os_errors(), open_file(store, path) as file:
            while size <= part.bytes and (block := file.read(_BLOCK_BYTES)):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise _unreadable(path, part, error) from error
    if (size, digest.hexdigest()) != (part.bytes, part.sha256):
        raise DamagedPartError(part.path, f"{path} is damaged: its checksum is not the manifest's")


def open_file(store: Store, path: str) -> Any:
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
