"""Components that never fired or were left out: listed, never dropped silently."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumers.dashboard.data import Snapshot

Show = Literal["dead", "dropped"]
PAGE = 2000


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """A source of components and how many of them are dead or dropped."""

    name: str
    kind: str
    hook: str
    location: str
    sign: str
    components: int
    dead: int
    dropped: int


@dataclass(frozen=True, slots=True)
class ComponentPage:
    """One page of a source's dead or dropped components, by their index."""

    source: SourceSummary
    show: Show
    indices: tuple[int, ...]
    found: int
    page: int
    pages: int


def source_summaries(snapshot: Snapshot) -> tuple[SourceSummary, ...]:
    """Return the sources of a run, in its order."""
    return tuple(_summary(snapshot, source) for source in snapshot.about.get("sources", ()))


def component_page(
    snapshot: Snapshot, source: SourceSummary, asked: Mapping[str, str]
) -> ComponentPage:
    """Return the page of dead or dropped components that an address asks for."""
    wanted = asked.get("show")
    show: Show = wanted if wanted in get_args(Show) else "dead"
    rows = _of_source(snapshot, source.name)
    indices = rows.filter(_flag(rows, show))["index"].to_pylist()
    page, pages = asked.get("page", ""), max(1, -(-len(indices) // PAGE))
    at = min(max(1, int(page)), pages) if page.isdecimal() and len(page) < 9 else 1
    shown = tuple(indices[(at - 1) * PAGE : at * PAGE])
    return ComponentPage(source, show, shown, len(indices), at, pages)


def _summary(snapshot: Snapshot, source: Mapping[str, object]) -> SourceSummary:
    rows = _of_source(snapshot, str(source["name"]))
    dead, dropped = (int(np.sum(_flag(rows, show).to_numpy())) for show in get_args(Show))
    return SourceSummary(
        name=str(source["name"]),
        kind=str(source.get("kind", "")),
        hook=str(source.get("hook", "")),
        location=str(source.get("location", "")),
        sign=str(source.get("sign", "")),
        components=len(rows),
        dead=dead,
        dropped=dropped,
    )


def _of_source(snapshot: Snapshot, name: str) -> pa.Table:
    table = snapshot.components
    return table.filter(pc.equal(table["source"], pa.scalar(name)))


def _flag(rows: pa.Table, show: Show) -> "pa.ChunkedArray[pa.BooleanScalar]":
    """Return which components to show; a dropped one is not also called dead."""
    if show == "dropped":
        return rows["dropped"]
    return pc.and_(rows["dead"], pc.invert(rows["dropped"]))
