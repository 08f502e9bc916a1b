"""``python -m benchmarks.page``: put the newest results into docs/performance.md.

A table stands between ``<!-- NAME -->``, or ``<!-- NAME: TITLE OF A TABLE -->``, and
``<!-- end -->``; what is there is replaced. Behind a bar stand the columns that the page shows,
and behind another one the rows: ``<!-- NAME | COLUMN; COLUMN | COLUMN = VALUE -->``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_SECTION = re.compile(
    r"(<!-- ([\w-]+)(?:: ([^>|]+?))?(?: \| ([^>|]+?))?(?: \| ([^>|]+?) = ([^>|]+?))? -->\n)"
    r".*?(<!-- end -->)",
    flags=re.DOTALL,
)
Row = Mapping[str, Any]


def filled(text: str, results: Path = RESULTS) -> str:
    """Return a page with its tables made from the results that are there.

    Raises KeyError for a column that a table has not, so that none is left out by a slip.
    """
    return _SECTION.sub(lambda found: _section(found, results), text)


def _section(found: re.Match[str], results: Path) -> str:
    begin, name, title, columns, by, value, end = found.groups()
    path = results / f"{name}.json"
    if not path.exists():
        return f"{begin}Not measured yet.\n{end}"
    report = json.loads(path.read_text())
    rows = report["tables"].get(title, []) if title else report["rows"]
    table = markdown_table(_chosen(rows, columns, by, value))
    below = "" if title else f"\n{_origin(report)}\n"
    return f"{begin}\n{table}\n{below}\n{end}"


def _chosen(
    rows: Sequence[Row], columns: str | None, by: str | None, value: str | None
) -> list[Row]:
    """Return the rows in which a column has a value, with some of their columns; None for all."""
    some = [row for row in rows if by is None or str(row[by]) == value]
    if columns is None:
        return some
    wanted = columns.split("; ")
    if missing := set(wanted).difference(*rows):
        raise KeyError(f"no column {', '.join(sorted(missing))}")
    return [{column: row.get(column, "") for column in wanted} for row in some]


def _origin(report: Mapping[str, Any]) -> str:
    """Return when and on what a report was measured, and where the rest of it stands."""
    name, machine = report["name"], report["machine"]
    when = f"Measured {report['date'][:10]} on {machine['cores']} cores of {machine['processor']}"
    return f"{when}: [{name}.md](../benchmarks/results/{name}.md)."


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
