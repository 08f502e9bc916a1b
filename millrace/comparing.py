"""Two snapshots compared at the command line: as a table, as JSON, as an attachment."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from downstream.derived.attach import write_derived
from downstream.derived.derivation import Derived
from downstream.derived.differences import (
    CLUSTER_DIFFERENCES,
    EXAMPLE_CHANGES,
    Differences,
    compare,
    provenance,
)
from downstream.reading.snapshot import Snapshot, open_snapshot
from downstream.reading.token_text import visible

KIND = "diff"


@dataclass(frozen=True, slots=True)
class Compared:
    """Two snapshots, what changed, and the clusters to show, the most changed first."""

    a: Snapshot
    b: Snapshot
    differences: Differences
    shown: list[dict[str, Any]]


def compared(a: str, b: str, k: int) -> Compared:
    """Return two snapshots compared; raises SnapshotError for what cannot be read."""
    one, other = open_snapshot(a), open_snapshot(b)
    found = compare(one, other)
    return Compared(one, other, found, found.most_changed(k))


def attached(found: Compared) -> None:
    """Attach a comparison to B, named after A; raises SnapshotError unless B is final."""
    a, differences = found.a, found.differences
    tables = {CLUSTER_DIFFERENCES: differences.clusters, EXAMPLE_CHANGES: differences.examples}
    derived = Derived(tables, provenance(a, found.b, differences))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    name = f"{a.run[:60]}-{a.content[:12]}"
    write_derived(KIND, found.b, derived, created=created, name=name)


def to_json(found: Compared) -> str:
    """Return a comparison as one JSON document."""
    document = {
        **provenance(found.a, found.b, found.differences),
        "same_content": found.a.content == found.b.content,
        "most_changed": [{n: _finite(v) for n, v in row.items()} for row in found.shown],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return a value as JSON has it: no NaN, which a damaged file may hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_text(found: Compared) -> str:
    """Return a comparison as lines for people."""
    lines = [
        f"{side}: snapshot {s.name} of run {s.run}, content {s.content[:12]}"
        for side, s in (("A", found.a), ("B", found.b))
    ]
    lines += [f"note: {note}" for note in found.differences.notes]
    n = found.differences.totals
    lines.append(
        f"clusters: {n['changed']:,} changed of {n['in_both']:,} in both, "
        f"{n['only_in_a']:,} only in A, {n['only_in_b']:,} only in B"
    )
    lines.append(
        f"examples: {n['shared_examples']:,} in both, {n['came']:,} came, {n['went']:,} went"
    )
    if found.shown:
        lines.append(f"{'cluster':<40} {'density A':>11} {'B':>11} {'max A':>9} {'B':>9} came went")
    lines += [_line(row) for row in found.shown]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    named = f"{row['clustering']}/{row['iteration']} {row['label']}"
    density = f"{row['activation_density_a']:>11.3e} {row['activation_density_b']:>11.3e}"
    largest = f"{row['max_activation_a']:>9.4g} {row['max_activation_b']:>9.4g}"
    return f"{visible(named)[:40]:<40} {density} {largest} {row['came']:>4} {row['went']:>4}"
