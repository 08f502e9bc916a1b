"""The page that compares two clusterings, by its address."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from downstream.dashboard.changes import ChangedExample, Changes, changed_examples, changes
from downstream.dashboard.comparison import (
    WAYS,
    Comparison,
    asked_of,
    compared,
    side_by_side,
)
from downstream.dashboard.comparison_pairs import Part
from downstream.dashboard.json_form import cluster_content
from downstream.dashboard.pages import Json, Page, not_found
from downstream.dashboard.watch import Shelf
from downstream.rendering.cluster import ClusterPage
from downstream.rendering.data import LoadedClustering


def compare_page(shelf: Shelf, asked: Mapping[str, str]) -> Page:
    """Return the comparison of ``a`` and ``b``, runs or RUN@SNAPSHOT, by their clusterings ``from``
    and ``to``; raises SnapshotError for a snapshot that cannot be opened."""
    keys = tuple(_keys(shelf))
    if not keys:
        return not_found("There is no snapshot to compare yet.")
    first = asked.get("a") or keys[0]
    second = asked.get("b") or next((key for key in keys if key != first), first)
    found = [
        _part(shelf, key, asked.get(name, "")) for key, name in ((first, "from"), (second, "to"))
    ]
    a, b = found
    if a is None or b is None:
        return not_found(f"No run “{second if a else first}” has a snapshot here.")
    wanted = asked_of(asked)
    comparison = compared(a, b, wanted)
    changed = changes(a, b, wanted.page) if wanted.show == "changed" else None
    left, right = (
        _number(asked.get(name, ""), part.size) for name, part in (("left", a), ("right", b))
    )
    sides: tuple[ClusterPage, ...] = ()
    examples: tuple[ChangedExample, ...] = ()
    if left is not None and right is not None:
        sides = side_by_side(a, b, left, right)
        examples = changed_examples(a, b, left, right) if changed else ()
    address = {
        "a": first, "b": second, "from": clustering_key(a.clustering),
        "to": clustering_key(b.clustering), "by": comparison.asked.by,
        "least": f"{comparison.asked.least:g}", "show": comparison.asked.show,
        "sort": comparison.asked.sort, "up": "1" if comparison.asked.up else "",
    }  # fmt: skip
    values = {
        "comparison": comparison,
        "keys": keys,
        "names": [shelf.written(key).now for key in (first, second)],
        "address": address,
        "ways": tuple(WAYS),
        "clustering_key": clustering_key,
        "sides": sides,
        "changed": changed,
        "examples": examples,
        "numbers": (left, right),
    }
    title = f"{first} and {second}"
    return Page(
        "compare.html", title, values, partial(comparison_form, comparison, address, sides, changed)
    )


def clustering_key(clustering: LoadedClustering) -> str:
    """Return what an address calls a clustering."""
    if clustering.iteration:
        return f"{clustering.name}#{clustering.iteration}"
    return clustering.name


def comparison_form(
    comparison: Comparison, address: Mapping[str, str], sides: Any, changed: Changes | None = None
) -> Json:
    """Return a page of a comparison as plain data."""
    named = ("matched", "mutual", "only_a", "only_b", "pages", "notes", "problem")
    snapshots = (comparison.a.snapshot.manifest, comparison.b.snapshot.manifest)
    return {
        "asked": {**address, "page": comparison.asked.page},
        "snapshots": [
            {name: getattr(each, name) for name in ("run", "snapshot", "content")}
            for each in snapshots
        ],
        **{name: getattr(comparison, name) for name in named},
        "rows": [asdict(row) for row in comparison.rows],
        "changes": None if changed is None else asdict(changed),
        "sides": [cluster_content(page) for page in sides],
    }


def _keys(shelf: Shelf) -> Iterator[str]:
    """Yield what can be compared: each run as it is shown, and each other snapshot of it."""
    for run, shown in shelf.snapshots.items():
        yield run
        for manifest in shelf.listed.get(run, ()):
            if manifest.snapshot != shown.name:
                yield f"{run}@{manifest.snapshot}"


def _part(shelf: Shelf, key: str, clustering: str) -> Part | None:
    snapshot = shelf.find(key)
    if snapshot is None:
        return None
    for each in snapshot.clusterings:
        if clustering_key(each) == clustering:
            return Part(snapshot, each)
    return Part(snapshot, snapshot.clusterings[0])


def _number(text: str, size: int) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        return None
    return int(text) if int(text) < size else None
