"""Tables of a snapshot or of its attachments as CSV or JSON lines."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from downstream.exporters.exporter import Choices, Option
from downstream.exporters.json_text import json_lines
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import TableManifest, expected_schema, read_pieces

_ROWS = 16384

_TABLE = Option("table", "Table to write; an attachment's, too.", default="clusters")
_ATTACHMENT = Option("attachment", "Attachment that has it, KIND/NAME.", shown="the one with it")


class JsonLines:
    """Writes a JSON object per row. Bytes are hexadecimal, NaN and infinities are null."""

    name = "jsonl"
    summary = "A table as JSON lines."
    options = (_TABLE, _ATTACHMENT)

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the file."""
        _write(snapshot, choices, out, lambda piece, _: _lines(piece))
        return ["bytes are hexadecimal; NaN and infinities are null"]


class Csv:
    """Writes a line per row under one of names. Lists are JSON, bytes hexadecimal."""

    name = "csv"
    summary = "A table as CSV."
    options = (_TABLE, _ATTACHMENT)

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the file."""
        _write(snapshot, choices, out, _csv)
        return ["lists are JSON in a field, bytes hexadecimal; an empty field is null"]


Encode = Callable[[pa.RecordBatch, bool], bytes]


def _write(snapshot: Snapshot, choices: Choices, out: Staging, encode: Encode) -> None:
    """Write a table; encode: makes the text of some rows, of which the first ones may differ."""
    name = choices["table"]
    manifest = _holder(snapshot, name, choices["attachment"])
    schema = expected_schema(manifest, name)

    def pieces() -> Iterator[tuple[pa.RecordBatch, bool]]:
        yield pa.RecordBatch.from_pylist([], schema=schema), True
        for file in read_pieces(manifest, name, size=_ROWS):
            for piece in file:
                yield piece, False

    out.write_pieces(out.alone, pieces(), lambda given: encode(*given))


def _holder(snapshot: Snapshot, table: str, attachment: str | None) -> TableManifest:
    """Return the manifest that lists a table; raises ExportError, naming the tables there are."""
    attached = {f"{one.kind}/{one.name}": one for one in snapshot.attachments}
    if attachment is not None:
        if attachment not in attached:
            known = ", ".join(attached) or "none"
            raise ExportError(f"there is no attachment {attachment!r} (there are: {known})")
        found = attached[attachment]
        if find_entry(found.tables, table) is None:
            known = ", ".join(entry.name for entry in found.tables)
            raise ExportError(f"{attachment} has no table {table!r} (it has: {known})")
        return found
    if find_entry(snapshot.manifest.tables, table) is not None:
        return snapshot.manifest
    holders = [one for one in attached.values() if find_entry(one.tables, table) is not None]
    if not holders:
        known = ", ".join(snapshot.tables)
        raise ExportError(f"there is no table {table!r} (there are: {known})")
    if len(holders) > 1:
        named = ", ".join(f"{one.kind}/{one.name}" for one in holders)
        raise ExportError(f"{table!r} is a table of {named}: say which --attachment")
    return holders[0]


def _lines(piece: pa.RecordBatch) -> bytes:
    columns = [_values(column) for column in piece.columns]
    rows = zip(*columns, strict=True)
    names = piece.schema.names
    return json_lines(dict(zip(names, row, strict=True)) for row in rows)


def _csv(piece: pa.RecordBatch, begins: bool) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    if begins:
        writer.writerow(piece.schema.names)
    columns = [map(_field, _values(column)) for column in piece.columns]
    writer.writerows(zip(*columns, strict=True))
    return sink.getvalue().encode()


def _field(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _values(column: pa.Array) -> list[Any]:
    """Return the values of a column as JSON has them, float32 in its shortest form."""
    kind = column.type
    if pa.types.is_list(kind):
        flat = iter(_values(column.flatten()))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if n is None else [next(flat) for _ in range(n)] for n in lengths]
    if pa.types.is_float32(kind):
        shortest = pc.cast(column, pa.string()).to_pylist()
        return [None if text is None else _finite(float(text)) for text in shortest]
    found: list[Any] = column.to_pylist()
    if pa.types.is_floating(kind):
        return [None if value is None else _finite(value) for value in found]
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if value is None else value.hex() for value in found]
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
