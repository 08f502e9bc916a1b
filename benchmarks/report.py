"""What a benchmark leaves behind: results/NAME.json for programs, results/NAME.md for people."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import command, machine, versions
from benchmarks.timing import Spread

RESULTS = Path(__file__).parent / "results"
Row = Mapping[str, Any]


def write_report(
    name: str,
    rows: Sequence[Row],
    *,
    notes: Sequence[str] = (),
    tables: Mapping[str, Sequence[Row]] | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Write a benchmark's results with machine, versions and command; return the JSON's path.

    rows: the main table, a mapping of column to value per row; rows may have columns of their own.
    A value is text, a number or a ``Spread``, which is shown as median (low .. high). notes:
    sentences under the tables, such as what is counted and what not. tables: more of them, by
    title.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(),
        "machine": machine(),
        "versions": versions(),
        "rows": [_plain(row) for row in rows],
        "tables": {title: [_plain(row) for row in more] for title, more in (tables or {}).items()},
        "notes": list(notes),
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(found))
    return path


def markdown(found: Mapping[str, Any]) -> str:
    """Return a report as Markdown: tables, notes, and what they were measured on.

    found: what is in the JSON file; only name, machine, versions, command and rows must be there.
    """
    blocks = [f"# {found['name']}", markdown_table(found["rows"])]
    for title, rows in found.get("tables", {}).items():
        blocks += [f"## {title}", markdown_table(rows)]
    blocks.append("\n".join(f"- {note}" for note in found.get("notes", [])))
    blocks.append(origin(found))
    return "\n\n".join(block for block in blocks if block) + "\n"


def origin(found: Mapping[str, Any]) -> str:
    """Return the sentence that says when, how and on what a report was measured."""
    of_machine = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    of_versions = ", ".join(f"{key} {value}" for key, value in found["versions"].items())
    when = f"Measured {found['date'][:10]}" if "date" in found else "Measured"
    return f"{when} by `{found['command']}` on {of_machine}; {of_versions}."


def markdown_table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table; columns in the order in which they first come up."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        return ""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(shown(row.get(c, "")) for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Return a value for a person: numbers to three digits, a spread as median (low .. high)."""
    if isinstance(value, Spread):
        value = _spread(value)
    if isinstance(value, Mapping) and "median" in value:
        middle, low, high = (shown(value[key]) for key in ("median", "low", "high"))
        return middle if low == middle == high else f"{middle} ({low} .. {high})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("|", "\\|")
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _plain(row: Row) -> dict[str, Any]:
    """Return a row as JSON has it."""
    return {
        column: _spread(value) if isinstance(value, Spread) else value
        for column, value in row.items()
    }


def _spread(value: Spread) -> dict[str, Any]:
    return {
        "median": value.median,
        "low": value.low,
        "high": value.high,
        "rounds": list(value.values),
    }
