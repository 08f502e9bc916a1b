"""JSON that every reader takes: no NaN, UTF-8, the same bytes for the same values."""

import gzip
import io
import json
from collections.abc import Iterable
from typing import Any


def json_bytes(value: Any) -> bytes:
    """Return a value as compact JSON; raises ValueError for NaN and infinity."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def json_lines(rows: Iterable[Any]) -> bytes:
    """Return a line of JSON per row."""
    return b"".join(json_bytes(row) + b"\n" for row in rows)


def gzipped(data: bytes, level: int = 5) -> bytes:
    """Return bytes compressed by gzip, without a time or a name in them."""
    sink = io.BytesIO()
    with gzip.GzipFile("", "wb", level, sink, mtime=0) as file:
        file.write(data)
    return sink.getvalue()
