"""CSV and JSON lines hold every value of a table, of attachments' too."""

import csv
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from downstream.exporters.tables import _csv, _lines
from downstream.reading.snapshot import Snapshot
from streams.snapshots.tables import TABLES
from tests.downstream.exporters.conftest import Written


def plain(value: Any) -> Any:
    """Return a value as it is expected in JSON."""
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("table", [*TABLES, "logit_lens", "neighbours"])
def test_both_forms_hold_the_table(table: str, attached: Snapshot, written: Written) -> None:
    rows = attached.table(table).to_pylist()
    lines = written("jsonl", attached, table=table).read_text().split("\n")[:-1]
    found = [json.loads(line) for line in lines]
    assert len(found) == len(rows)
    with written("csv", attached, table=table).open(newline="") as file:
        fields = list(csv.DictReader(file))
    assert len(fields) == len(rows)
    for line, field, row in zip(found, fields, rows, strict=True):
        assert list(line) == list(field) == list(row)
        for name, value in row.items():
            if isinstance(value, float | list):
                np.testing.assert_array_equal(as_float32(line[name]), as_float32(value))
                read = json.loads(field[name])
                np.testing.assert_array_equal(as_float32(read), as_float32(value))
            else:
                assert line[name] == plain(value)
                assert field[name] == (
                    str(value).lower() if isinstance(value, bool) else str(plain(value))
                )


def as_float32(value: Any) -> Any:
    """Return numbers as float32, texts as they are."""
    array = np.array(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def test_what_json_does_not_have_is_null() -> None:
    columns = {
        "narrow": pa.array([math.nan, 0.1], pa.float32()),
        "wide": pa.array([math.inf, 0.1], pa.float64()),
        "list": pa.array([[math.nan, 1.5], None], pa.list_(pa.float32())),
        "text": ["a\x00b", 'c"\n'],
    }
    piece = pa.RecordBatch.from_pydict(columns)
    first, second = (json.loads(line) for line in _lines(piece).splitlines())
    assert first == {"narrow": None, "wide": None, "list": [None, 1.5], "text": "a\x00b"}
    assert second == {"narrow": 0.1, "wide": 0.1, "list": None, "text": 'c"\n'}
    assert next(csv.reader(_csv(piece, True).decode().splitlines())) == list(columns)
