"""``python -m benchmarks.page``: put the newest results into docs/performance.md.

A table stands between ``<!-- NAME -->``, or ``<!-- NAME: TITLE OF A TABLE -->``, and
``<!-- end -->``; what is there is replaced.
"""

import json
import re
from pathlib import Path

from benchmarks.report import RESULTS, markdown_table, origin

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_SECTION = re.compile(r"(<!-- ([\w-]+?)(?:: ([^>]+))? -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def filled(text: str, results: Path = RESULTS) -> str:
    """Return a page with its tables made from the results that are there."""
    return _SECTION.sub(lambda found: _section(found, results), text)


def _section(found: re.Match[str], results: Path) -> str:
    begin, name, title, end = found.groups()
    path = results / f"{name}.json"
    if not path.exists():
        return f"{begin}Not measured yet.\n{end}"
    report = json.loads(path.read_text())
    rows = report["tables"].get(title, []) if title else report["rows"]
    below = "" if title else f"\n{origin(report)}\n"
    return f"{begin}\n{markdown_table(rows)}\n{below}\n{end}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
