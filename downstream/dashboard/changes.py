"""What changed from one snapshot to another, as ``millrace diff`` finds it, a page at a time."""

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from downstream.dashboard.comparison_pairs import Part
from downstream.dashboard.paging import PAGE
from downstream.derived.differences import (
    CLUSTER_DIFFERENCES,
    EXAMPLE_CHANGES,
    Differences,
    compare,
    most_changed,
)
from downstream.reading.snapshot import Snapshot
from downstream.rendering.attached import attachments_of
from downstream.rendering.coactivation import Neighbour, neighbour
from downstream.rendering.contexts import Context, top_contexts
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table

KIND = "diff"
"""The kind of attachment that ``millrace diff --attach`` writes."""

MOST_HITS = 10**6
"""Examples of both snapshots that a page compares by itself; more take too long."""

_TOO_MANY = (
    "The examples are too many to be compared while a page waits: millrace diff A B --attach "
    "compares them once, and this page shows it."
)
_OTHER_NAMES = (
    "Changes are those of clusters of one name: choose the same clustering on both sides."
)


Numbers = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A cluster that is in both. left, right: its numbers in the two clusterings.

    numbers: each as it was and as it is. shared, came, went: examples in both, in B alone and in A
    alone.
    """

    link: Neighbour
    left: int
    right: int
    density: Numbers
    high: Numbers
    mean: Numbers
    shared: int
    came: int
    went: int


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the clusters that changed, the most changed first.

    changed, both: of how many in both. problem: why there are none. attached: they were read, not
    compared now.
    """

    rows: tuple[Change, ...] = ()
    changed: int = 0
    both: int = 0
    page: int = 1
    pages: int = 1
    problem: str = ""
    attached: bool = False


@dataclass(frozen=True, slots=True)
class ChangedExample:
    """An example that came or went: ranking and rank, and its text."""

    ranking: str
    change: str
    context: Context


def changes(a: Part, b: Part, page: int) -> Changes:
    """Return a page of what changed; raises SnapshotError for what cannot be read."""
    if _name(a) != _name(b):
        return Changes(problem=_OTHER_NAMES)
    held = _attached(a, b)
    clusters = _clusters(a, b, held)
    if clusters is None:
        return Changes(problem=_TOO_MANY)
    both = pc.sum(pc.and_(clusters["in_a"], clusters["in_b"])).as_py() or 0
    order = most_changed(clusters)
    pages = max(1, -(-len(order) // PAGE))
    page = min(page, pages)
    shown = clusters.take(pa.array(order[(page - 1) * PAGE : page * PAGE])).to_pylist()
    rows = tuple(filter(None, (_change(a, b, row) for row in shown)))
    return Changes(rows, len(order), both, page, pages, attached=held is not None)


def changed_examples(a: Part, b: Part, left: int, right: int) -> tuple[ChangedExample, ...]:
    """Return the examples that came to or went from a cluster, with their text.

    Nothing where they were not compared. Raises SnapshotError.
    """
    label = a.snapshot.label(a.clustering.first + left)
    if _name(a) != _name(b) or label != b.snapshot.label(b.clustering.first + right):
        return ()
    held, (name, iteration) = _attached(a, b), _name(a)
    wanted = [("clustering", "==", name), ("iteration", "==", iteration), ("label", "==", label)]
    if held is not None:
        rows = read_table(held, EXAMPLE_CHANGES.name, filters=wanted)
    elif (found := _compared(a, b)) is not None:
        rows = found.examples
        for column, _, value in wanted:
            rows = rows.filter(pc.equal(rows[column], pa.scalar(value, rows[column].type)))
    else:
        return ()
    listed = rows.to_pylist()
    sides = {"went": (a, a.clustering.first + left), "came": (b, b.clustering.first + right)}
    shown = []
    for change, (part, cluster) in sides.items():
        for ranking in dict.fromkeys(r["ranking"] for r in listed if r["change"] == change):
            samples = {r["sample"].hex() for r in listed if _of(r, ranking, change)}
            most = max(r["rank"] for r in listed if _of(r, ranking, change)) + 1
            contexts = top_contexts(part.snapshot, cluster, ranking, most)
            shown += [ChangedExample(ranking, change, c) for c in contexts if c.sample in samples]
    return tuple(shown)


def _of(row: dict[str, Any], ranking: str, change: str) -> bool:
    return bool(row["ranking"] == ranking and row["change"] == change)


def _name(part: Part) -> tuple[str, int]:
    return part.clustering.name, part.clustering.iteration


def _clusters(a: Part, b: Part, held: AttachmentManifest | None) -> pa.Table | None:
    """Return the differences of the clusters of a clustering, None if nobody compared them."""
    name, iteration = _name(a)
    if held is not None:
        wanted = [("clustering", "==", name), ("iteration", "==", iteration)]
        return read_table(held, CLUSTER_DIFFERENCES.name, filters=wanted)
    found = _compared(a, b)
    if found is None:
        return None
    here = pc.equal(found.clusters["clustering"], name)
    return found.clusters.filter(pc.and_(here, pc.equal(found.clusters["iteration"], iteration)))


def _attached(a: Part, b: Part) -> AttachmentManifest | None:
    """Return the comparison with A that is attached to B, if its tables are known."""
    for each in attachments_of(b.snapshot).now():
        said = each.provenance.get("a")
        of_a = isinstance(said, dict) and said.get("content") == a.snapshot.manifest.content
        if each.kind == KIND and of_a:
            for form in (CLUSTER_DIFFERENCES, EXAMPLE_CHANGES):
                entry = find_entry(each.tables, form.name)
                if entry is None or not entry.schema.equals(form.schema):
                    raise SnapshotError(f"it has no table {form.name!r} of the form known here")
            return each
    return None


def _compared(a: Part, b: Part) -> Differences | None:
    """Compare two snapshots, unless it takes too long; the last comparison is kept."""
    manifests = [part.snapshot.manifest for part in (a, b)]
    hits = [find_entry(manifest.tables, "hits") for manifest in manifests]
    if sum(entry.rows for entry in hits if entry) > MOST_HITS:
        return None
    kept: dict[str, Differences] = a.snapshot.once("last differences", dict)
    key = b.snapshot.manifest.content
    if key not in kept:
        kept.clear()
        kept[key] = compare(*map(Snapshot, manifests))
    return kept[key]


def _finite(value: float) -> float | None:
    """Return a number, None for what is none, as a damaged file may hold."""
    return float(value) if math.isfinite(value) else None


def _change(a: Part, b: Part, row: dict[str, Any]) -> Change | None:
    left = a.snapshot.find(a.clustering, row["label"])
    right = b.snapshot.find(b.clustering, row["label"])
    if left is None or right is None:
        return None
    density, high, mean = (
        (_finite(row[f"{name}_a"]), _finite(row[f"{name}_b"]))
        for name in ("activation_density", "max_activation", "mean_activation")
    )
    return Change(
        link=neighbour(b.snapshot, right),
        left=left - a.clustering.first,
        right=right - b.clustering.first,
        density=density,
        high=high,
        mean=mean,
        shared=row["shared_examples"],
        came=row["came"],
        went=row["went"],
    )
