"""How a manifest lists a table: its columns with their meaning, its key, its hash, and its files.

A reader needs nothing else to read a table that it has never heard of.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
from annotated_types import MaxLen

from streams.bounds import Count, FieldRule, Label, Text
from streams.names import InnerPath, Name
from streams.snapshots.column_types import type_name, type_of
from streams.snapshots.content import Hashed
from streams.snapshots.tables import Column, TableForm

Hash = Annotated[str, FieldRule(lambda text: re.fullmatch("([0-9a-f]{64})?", text), "no SHA-256")]


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """A column as a manifest lists it; see ``snapshot_tables.Column``."""

    name: Name
    type: Label
    description: Text
    unit: Label = ""
    meaning: Label = "exact"
    error: Text = ""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table as a manifest lists it.

    key: the columns that name a row, which stands once in all files. hash: see content.py. content:
    whether the content hash of the snapshot covers it.
    """

    name: Name
    description: Text
    key: Annotated[tuple[Name, ...], MaxLen(64)]
    rows: Count
    hash: Hash
    content: bool
    columns: Annotated[tuple[ColumnEntry, ...], MaxLen(64)]

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types; raises SnapshotError for types that none has."""
        return pa.schema([(column.name, type_of(column.type)) for column in self.columns])


@dataclass(frozen=True, slots=True)
class PartFile:
    """A Parquet file of a table; ``path`` is relative to the run's folder in the store."""

    table: Name
    path: InnerPath
    rows: Count
    bytes: Count
    sha256: Hash


def table_entry(form: TableForm, hashed: Hashed, *, content: bool) -> TableEntry:
    """Return how a manifest lists a table of a known form."""
    columns = tuple(map(column_entry, form.columns))
    return TableEntry(
        form.name, form.description, form.key, hashed.rows, hashed.hash, content, columns
    )


def column_entry(column: Column) -> ColumnEntry:
    """Return how a manifest lists a column."""
    kind = type_name(column.type)
    return ColumnEntry(
        column.name, kind, column.description, column.unit, column.meaning, column.error
    )


def find_entry(tables: Iterable[TableEntry], name: str) -> TableEntry | None:
    """Return the table of a name, None if it is not listed."""
    return next((entry for entry in tables if entry.name == name), None)
