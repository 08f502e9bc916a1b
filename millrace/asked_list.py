"""What was asked, as it is listed: lines for people, JSON, CSV or Parquet."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import pyarrow as pa

from millrace.answer_files import lines_bytes, table_bytes
from millrace.listings import to_json
from streams.bounds import shown

if TYPE_CHECKING:
    from millrace.answer_files import Form
    from millrace.asked_records import AskedEntry

_MANY = ("features", "domains", "runs")
ASKED = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "asked", "kind")),
        ("texts", pa.int64()),
        ("text", pa.string()),
        *((name, pa.string()) for name in _MANY),
    ]
)
"""Columns of a list: the fields of an entry, several names in one with spaces between."""


def written_list(entries: Sequence["AskedEntry"], form: "Form") -> bytes:
    """Return a list as bytes."""
    if form == "table":
        return lines_bytes(_lines(entries))
    if form == "json":
        return f"{to_json(entries)}\n".encode()
    rows = [asdict(one) | {name: " ".join(getattr(one, name)) for name in _MANY} for one in entries]
    return table_bytes(pa.Table.from_pylist(rows, schema=ASKED), None, form)


def _lines(entries: Sequence["AskedEntry"]) -> Iterator[str]:
    for one in entries:
        what = " ".join([one.kind, *one.features[:3], *map(shown, one.domains)])
        of = f"  of {', '.join(one.runs[:3])}" if one.runs else ""
        text = f"  {shown(one.text)}" if one.texts else ""
        more = f" and {one.texts - 1} more" if one.texts > 1 else ""
        yield f"{one.id}  {what}{text}{more}{of}"
