"""Pages as JSON: made only when they are asked for, with the token strings as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from downstream.dashboard.columns import Column
from downstream.dashboard.components import ComponentPage
from downstream.dashboard.geometry import ShownGeometry
from downstream.dashboard.listing import Listing
from downstream.dashboard.paging import cursor_at
from downstream.dashboard.watch import Shelf
from downstream.reading.made_labels import MadeLabel
from downstream.rendering.cluster import ClusterPage
from downstream.rendering.contexts import Context, Token
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.list_rows import Row
from downstream.rendering.panels.panel import ShownPanel
from streams.snapshots.annotations import ClusterAnnotations

Json = dict[str, Any]


def provenance(snapshot: LoadedSnapshot) -> Json:
    """Return where a snapshot comes from, and what it counted."""
    manifest = snapshot.manifest
    named = ("run", "run_id", "identity", "snapshot", "final", "content", "created", "chains")
    return {
        **{name: getattr(manifest, name) for name in named},
        "absent": list(snapshot.absent),
        "tokens": snapshot.tokens,
        "rows": snapshot.rows,
        "refused": snapshot.refused,
        "dead_letters": [asdict(letter) for letter in manifest.dead_letters],
        "warnings": list(manifest.warnings),
        "about": manifest.about,
    }


def list_form(
    snapshot: LoadedSnapshot,
    listing: Listing,
    geometry: ShownGeometry = ShownGeometry(),
    columns: Mapping[str, Column] = MappingProxyType({}),
) -> Json:
    """Return a page of a clustering's list. next: the cursor of the page after it.

    columns: the numbers that a list can show.
    """
    here, content = listing.clustering, snapshot.manifest.content
    return {
        "snapshot": provenance(snapshot),
        "geometry": asdict(geometry),
        "listing": {
            "clustering": {"name": here.name, "iteration": here.iteration},
            "query": {k: v for k, v in listing.query.address().items() if v != ""},
            "searchable": listing.searchable,
            "problem": listing.near.problem if listing.near else "",
            "total": listing.total,
            "dead": listing.dead,
            "found": listing.found,
            "columns": [_column(column) for column in columns.values()],
            "rows": [_row(row, listing.columns) for row in listing.rows],
            "next": cursor_at(content, listing.stop) if listing.stop < listing.found else None,
        },
    }


def _column(column: Column) -> Json:
    return {name: getattr(column, name) for name in ("name", "title", "note", "unit", "meaning")}


def _row(row: Row, columns: Sequence[Column]) -> Json:
    shown = (
        "number", "label", "members", "size", "status", "density", "firing_tokens", "mean", "high",
    )  # fmt: skip
    best = row.best
    return {
        **{name: getattr(row, name) for name in shown},
        "more": {c.name: value for c, value in zip(columns, row.more, strict=True)},
        "peaks": [asdict(peak) for peak in row.peaks],
        "examples": row.examples,
        "written": row.written and asdict(row.written),
        "made": row.made and asdict(row.made),
        "matches": dict(zip(("peaks", "texts", "active"), row.why, strict=True)),
        "best": best and {**_context(best), "tokens": [_text(token) for token in best.excerpt]},
    }


def cluster_form(
    snapshot: LoadedSnapshot,
    page: ClusterPage,
    written: ClusterAnnotations,
    made: MadeLabel | None,
    panels: Sequence[ShownPanel],
) -> Json:
    """Return the page of a cluster with all that it shows."""
    return {
        "snapshot": provenance(snapshot),
        "cluster": {
            **cluster_content(page),
            "written": asdict(written),
            "made": made and asdict(made),
            "attached": [_attached(panel) for panel in panels],
        },
    }


def cluster_content(page: ClusterPage) -> Json:
    """Return what a snapshot itself says of a cluster."""
    named = (
        "number", "label", "status", "members", "dropped", "ranking", "rankings", "k",
        "meaning", "intervals", "folded", "sampled", "sharing_total", "previous", "next",
    )  # fmt: skip
    return {
        **{name: getattr(page, name) for name in named},
        "clustering": {"name": page.clustering.name, "iteration": page.clustering.iteration},
        "numbers": [asdict(number) for number in page.numbers],
        "bins": [asdict(each) for each in page.bins],
        "contexts": [
            {**_context(context), "tokens": [_token(token) for token in context.tokens]}
            for context in page.contexts
        ],
        "neighbours": page.neighbours and [asdict(other) for other in page.neighbours],
        "matrix": page.matrix and asdict(page.matrix),
        "sharing": [asdict(other) for other in page.sharing],
    }


def _attached(panel: ShownPanel) -> Json:
    return {name: value for name, value in asdict(panel).items() if name != "template"}


def component_form(snapshot: LoadedSnapshot, page: ComponentPage) -> Json:
    """Return a page of dead or dropped components."""
    return {"snapshot": provenance(snapshot), "page": asdict(page)}


def runs_form(shelf: Shelf) -> Json:
    """Return the list of runs with the snapshot that is open of each, and all that are known."""
    return {
        "runs": [provenance(snapshot) for snapshot in shelf.snapshots.values()],
        "snapshots": [
            {
                "run": manifest.run,
                "snapshot": manifest.snapshot,
                "final": manifest.final,
                "created": manifest.created,
                "content": manifest.content,
            }
            for manifests in shelf.listed.values()
            for manifest in manifests
        ],
        "problems": dict(shelf.problems),
    }


def _context(context: Context) -> Json:
    return {
        "rank": context.rank,
        "score": context.score,
        "peak": context.peak,
        "sample": context.sample,
        "document": context.document,
        "domain": context.domain,
        "place": context.place,
        "first": context.first,
        "stop": context.stop,
        "length": context.length,
        "duplicates": context.duplicates,
        "activations": {
            token.position: token.activity for token in context.tokens if token.activity
        },
        "members": {
            row.label: {mark.position: mark.value for mark in row.marks} for row in context.members
        },
    }


def _token(token: Token) -> Json:
    """Return a token: its string, or its bytes in hexadecimal where they are no whole characters,
    and what a page shows of it."""
    return {
        "id": token.id,
        "text": _text(token),
        "display": [[piece.kind, piece.glyph or piece.text] for piece in token.pieces],
    }


def _text(token: Token) -> str | Json:
    try:
        return token.raw.decode()
    except UnicodeDecodeError:
        return {"bytes": token.raw.hex()}
