"""Dead features, and features that were left out: listed, never dropped silently."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from downstream.rendering.data import LoadedSnapshot
from streams.arrays import Bool
from streams.snapshots.table_reading import read_table

Show = Literal["dead", "dropped"]
PAGE = 2000


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """A source of components and how many of them are dead or dropped.

    l0: how many are active at a valid token, on average; None where the snapshot does not say it.
    health: its row of the table ``health``, empty where the run has none.
    """

    name: str
    kind: str
    hook: str
    location: str
    sign: str
    components: int
    dead: int
    dropped: int
    l0: float | None
    health: Mapping[str, Any]

    @property
    def dead_share(self) -> float:
        """The share of dead ones among those that are not dropped."""
        return self.dead / max(1, self.components - self.dropped)


@dataclass(frozen=True, slots=True)
class ComponentPage:
    """One page of a source's dead or dropped components, by their index."""

    source: SourceSummary
    show: Show
    indices: tuple[int, ...]
    found: int
    page: int
    pages: int


def source_summaries(snapshot: LoadedSnapshot) -> tuple[SourceSummary, ...]:
    """Return the sources of a run, in its order."""
    measured = {}
    if snapshot.manifest.table("health") is not None:
        table = read_table(snapshot.manifest, "health")
        measured = {str(row["source"]): row for row in table.to_pylist()}
    return tuple(
        _summary(snapshot, source, measured.get(str(source["name"]), {}))
        for source in snapshot.about.get("sources", ())
    )


def component_page(
    snapshot: LoadedSnapshot, source: SourceSummary, asked: Mapping[str, str]
) -> ComponentPage:
    """Return the page of dead or dropped components that an address asks for."""
    show: Show = "dropped" if asked.get("show") == "dropped" else "dead"
    rows = _of_source(snapshot, source.name)
    indices: list[int] = rows["index"].to_numpy()[_flag(rows, show)].tolist()
    page, pages = asked.get("page", ""), max(1, -(-len(indices) // PAGE))
    at = min(max(1, int(page)), pages) if page.isdecimal() and len(page) < 9 else 1
    shown = tuple(indices[(at - 1) * PAGE : at * PAGE])
    return ComponentPage(source, show, shown, len(indices), at, pages)


def _summary(
    snapshot: LoadedSnapshot, source: Mapping[str, object], health: Mapping[str, Any]
) -> SourceSummary:
    rows = _of_source(snapshot, str(source["name"]))
    dead, dropped = (int(_flag(rows, show).sum()) for show in get_args(Show))
    return SourceSummary(
        name=str(source["name"]),
        kind=str(source.get("kind", "")),
        hook=str(source.get("hook", "")),
        location=str(source.get("location", "")),
        sign=str(source.get("sign", "")),
        components=len(rows),
        dead=dead,
        dropped=dropped,
        l0=_l0(snapshot, rows),
        health=health,
    )


def _l0(snapshot: LoadedSnapshot, rows: pa.Table) -> float | None:
    if not snapshot.tokens or not len(rows) or "features.firing_tokens" in snapshot.absent:
        return None
    return int(rows["firing_tokens"].to_numpy().sum()) / snapshot.tokens


def _of_source(snapshot: LoadedSnapshot, name: str) -> pa.Table:
    table = snapshot.features
    return table.filter(pc.equal(table["source"], pa.scalar(name)))


def _flag(rows: pa.Table, show: Show) -> Bool:
    """Return which components to show; a dropped one is not also called dead."""
    dropped: Bool = rows["dropped"].to_numpy()
    dead: Bool = rows["dead"].to_numpy()
    return dropped if show == "dropped" else dead & ~dropped
