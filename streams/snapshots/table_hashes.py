"""The hashes of a snapshot's tables, computed from its files."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from streams.errors import SnapshotError
from streams.snapshots.content import ColumnHash, content_of, hash_of
from streams.snapshots.manifests import RunManifest
from streams.snapshots.parquet.reading import DecodeBudget
from streams.snapshots.store import Store, open_store
from streams.snapshots.table_entry import PartFile, TableEntry
from streams.snapshots.table_reading import (
    TableManifest,
    budget_of,
    expected_schema,
    opened_part,
    parts_of,
)

_ROWS_AT_ONCE = 2**14
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class _OpenedPart:
    """A file of a table, what all reading of it may take, and its footer."""

    part: PartFile
    budget: DecodeBudget
    footer: Any


def hashed_tables(manifest: TableManifest, *, check: bool = False) -> tuple[TableEntry, ...]:
    """Return the tables that a manifest lists with the rows and hashes that their files hold.

    Columns are read and hashed side by side, in threads, if the store is a folder; others would
    send the same bytes once for each of them. check: compare each file with its checksum first.
    Raises SnapshotError if a file is missing or damaged, or has other columns.
    """
    store = open_store(manifest.store)
    threads = min(_MOST_THREADS, os.cpu_count() or 1) if store.local else 1
    with ThreadPoolExecutor(threads, thread_name_prefix="hash") as pool:

        def hashed(entry: TableEntry) -> TableEntry:
            schema = expected_schema(manifest, entry.name)
            parts = list(pool.map(opened, parts_of(manifest, entry.name)))
            groups = [[name] for name in schema.names] if store.local else [schema.names]
            found = pool.map(lambda group: _columns(store, manifest, schema, group, parts), groups)
            columns = [column for group in found for column in group]
            found_hash = hash_of(schema, columns[0].rows, columns)
            return replace(entry, rows=found_hash.rows, hash=found_hash.hash)

        def opened(part: PartFile) -> _OpenedPart:
            schema, budget = expected_schema(manifest, part.table), budget_of(manifest, part)
            with opened_part(store, manifest, part, schema, check=check) as file:
                return _OpenedPart(part, budget, file.footer)

        return tuple(map(hashed, manifest.tables))


def _columns(
    store: Store,
    manifest: TableManifest,
    schema: pa.Schema,
    names: Sequence[str],
    parts: Sequence[_OpenedPart],
) -> list[ColumnHash]:
    """Return the hashes of some columns of a table, whose files have one budget for all columns."""
    found = [ColumnHash(schema.field(name).type) for name in names]
    for each in parts:
        with opened_part(
            store, manifest, each.part, schema, footer=each.footer, budget=each.budget
        ) as file:
            for piece in file.pieces(_ROWS_AT_ONCE, names):
                for column, hashed in zip(piece.columns, found, strict=True):
                    hashed.add(column)
    return found


def verify(manifest: RunManifest) -> str:
    """Return the content hash of a snapshot, computed from its files, whose checksums are compared.

    Raises SnapshotError if a file, a table or the content is not what the manifest says.
    """
    found = hashed_tables(manifest, check=True)
    for listed, holds in zip(manifest.tables, found, strict=True):
        if listed != holds:
            raise SnapshotError(
                f"the manifest names hash {listed.hash} of the table {listed.name!r} of "
                f"{listed.rows} rows, its files hold {holds.hash} of {holds.rows}"
            )
    content = content_of({table.name: table.hash for table in found if table.content})
    if content != manifest.content:
        raise SnapshotError(f"the manifest names content {manifest.content}, files hold {content}")
    return content
