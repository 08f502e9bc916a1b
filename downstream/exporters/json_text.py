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


_LINE_ENDS = {sign.encode(): rf"\u{ord(sign):04x}".encode() for sign in "\x85\u2028\u2029"}


def json_lines(rows: Iterable[Any]) -> bytes:
    """Return a line of JSON per row, whatever a reader takes for the end of a line.

    Some split at U+0085, U+2028 and U+2029, too, as Python's ``str.splitlines`` does: these are
    escaped.
    """
    data = b"".join(json_bytes(row) + b"\n" for row in rows)
    for sign, escaped in _LINE_ENDS.items():
        data = data.replace(sign, escaped)
    return data


def gzipped(data: bytes, level: int = 5) -> bytes:
    """Return bytes compressed by gzip, without a time or a name in them."""
    sink = io.BytesIO()
    with gzip.GzipFile("", "wb", level, sink, mtime=0) as file:
        file.write(data)
    return sink.getvalue()
