"""Rows of an attachment's table by feature, read along with the features of a source."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from streams.snapshots.attachments import DEFAULT, AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_pieces

_PIECE = 1024


class FeatureRows:
    """At most one row per feature of a source; asked for by index, from the first to the last.

    same: what columns hold in the rows that count, the source among them.
    """

    def __init__(self, attachment: AttachmentManifest, table: str, same: Mapping[str, str]) -> None:
        self._rows = _rows(attachment, table, same)
        self._next: dict[str, Any] | None = None
        self._at = -1

    def of(self, index: int) -> dict[str, Any] | None:
        """Return a feature's row, None if there is none."""
        if index < self._at:
            raise SnapshotError("rows of an attachment are read in the order of the features")
        self._at = index
        while self._next is None or self._next["index"] < index:
            self._next = next(self._rows, None)
            if self._next is None:
                return None
        return self._next if self._next["index"] == index else None


def find_rows(
    snapshot: Snapshot, kind: str, table: str, columns: Mapping[str, str]
) -> FeatureRows | None:
    """Return the rows of the default attachment of a kind; None if there is none with the table.

    columns: what a row that counts holds; an attachment that lacks one of these does not count.
    """
    for one in snapshot.attachments:
        entry = find_entry(one.tables, table)
        if (one.kind, one.name) == (kind, DEFAULT) and entry is not None:
            names = {column.name for column in entry.columns}
            if {"index", *columns} <= names:
                return FeatureRows(one, table, columns)
    return None


def _rows(
    attachment: AttachmentManifest, table: str, same: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for pieces in read_pieces(attachment, table, size=_PIECE):
        for piece in pieces:
            rows = pa.Table.from_batches([piece])
            for name, value in same.items():
                rows = rows.filter(pc.equal(rows[name], value))
            yield from rows.to_pylist()
