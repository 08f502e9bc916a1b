"""How a manifest lists a table: its columns with their meaning, its key, its hash, and its files.

A reader needs nothing else to read a table that it has never heard of.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from streams.column_types import type_name, type_of
from streams.content import Hashed
from streams.errors import SnapshotError
from streams.names import is_name
from streams.snapshot_tables import TableForm


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """A column as a manifest lists it; see ``snapshot_tables.Column``."""

    name: str
    type: str
    description: str
    unit: str = ""
    meaning: str = "exact"
    error: str = ""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table as a manifest lists it.

    key: the columns that name a row, which stands once in all files. hash: see content.py. content:
    whether the content hash of the snapshot covers it.
    """

    name: str
    description: str
    key: tuple[str, ...]
    rows: int
    hash: str
    content: bool
    columns: tuple[ColumnEntry, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types; raises SnapshotError for names or types that none has."""
        for name in (self.name, *(column.name for column in self.columns)):
            if not is_name(name):
                raise SnapshotError(f"a table or column cannot be named {name[:80]!r}")
        return pa.schema([(column.name, type_of(column.type)) for column in self.columns])


@dataclass(frozen=True, slots=True)
class PartFile:
    """A Parquet file of a table; ``path`` is relative to the run's folder in the store."""

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str


def table_entry(form: TableForm, hashed: Hashed, *, content: bool) -> TableEntry:
    """Return how a manifest lists a table of a known form."""
    columns = tuple(
        ColumnEntry(c.name, type_name(c.type), c.description, c.unit, c.meaning, c.error)
        for c in form.columns
    )
    return TableEntry(
        form.name, form.description, form.key, hashed.rows, hashed.hash, content, columns
    )


def find_entry(tables: Iterable[TableEntry], name: str) -> TableEntry | None:
    """Return the table of a name, None if it is not listed."""
    return next((entry for entry in tables if entry.name == name), None)
