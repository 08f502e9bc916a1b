"""An answer in the form that is asked for: a page, JSON, CSV or Parquet."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from consumers.asking.record import AskRecord, record_json, to_plain
from millrace.answer_report import page
from millrace.answer_tables import answer_table
from streams.asking.answer import Answer

Form = Literal["table", "json", "csv", "parquet"]
RECORD_KEY = b"millrace-record"


def written(answer: Answer, record: AskRecord, form: Form, table: str) -> bytes:
    """Return an answer as bytes.

    JSON holds the record of the question and the whole answer. CSV and Parquet hold one of the
    ``answer_tables``; Parquet has the record among its metadata, as RECORD_KEY.
    """
    if form == "table":
        return lines_bytes(page(answer))
    if form == "json":
        return json_bytes({"record": to_plain(record), "answer": asdict(answer)})
    return table_bytes(answer_table(answer, table), record_json(record), form)


def json_bytes(whole: Mapping[str, Any]) -> bytes:
    """Return one JSON document."""
    return (json.dumps(whole, ensure_ascii=False, allow_nan=False) + "\n").encode()


def lines_bytes(lines: Iterable[str]) -> bytes:
    """Return lines of text, each ended."""
    return "".join(f"{line}\n" for line in lines).encode()


def table_bytes(found: pa.Table, record: bytes | None, form: Literal["csv", "parquet"]) -> bytes:
    """Return a table as bytes; Parquet has a record, if any, as JSON in its metadata."""
    data = io.BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(found, data)
    else:
        metadata = None if record is None else {RECORD_KEY: record}
        pq.write_table(found.replace_schema_metadata(metadata), data)
    return data.getvalue()


def put(data: bytes, out: Path | None) -> None:
    """Write an answer to a file, or to standard output."""
    if out is None:
        click.get_binary_stream("stdout").write(data)
    else:
        out.write_bytes(data)
