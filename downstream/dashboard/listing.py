"""The list of a clustering's clusters: searched, filtered, sorted and cut into pages."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pyarrow.compute as pc

from downstream.dashboard.contexts import Context, best_contexts
from downstream.dashboard.data import LoadedClustering, LoadedSnapshot
from downstream.dashboard.paging import MOST, PAGE, number_of
from streams.arrays import I64, AnyArray, Bool

Sort = Literal["order", "label", "density", "max", "mean", "members"]
Show = Literal["all", "live", "dead"]


@dataclass(frozen=True, slots=True)
class Query:
    """What a list shows."""

    search: str = ""
    sort: Sort = "order"
    descending: bool = False
    show: Show = "all"
    page: int = 1
    limit: int = PAGE

    def address(self, **changes: object) -> dict[str, object]:
        """Return the parameters of an address that asks this with changes; defaults left out."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        return {
            "q": asked.search,
            "sort": "" if asked.sort == "order" else asked.sort,
            "down": "1" if asked.descending else "",
            "show": "" if asked.show == "all" else asked.show,
            "page": "" if asked.page == 1 else asked.page,
            "limit": "" if asked.limit == PAGE else asked.limit,
        }

    def sorted_by(self, sort: Sort) -> dict[str, object]:
        """Return the parameters that sort by a column; the same one again turns round."""
        again = not self.descending if sort == self.sort else sort not in ("order", "label")
        return self.address(sort=sort, descending=again, page=1)


def query_of(asked: Mapping[str, str]) -> Query:
    """Return the query that an address asks; what makes no sense counts as not said."""
    sorts: dict[str, Sort] = {name: name for name in get_args(Sort)}
    shows: dict[str, Show] = {name: name for name in get_args(Show)}
    return Query(
        search=asked.get("q", "").strip()[:200],
        sort=sorts.get(asked.get("sort", ""), "order"),
        descending=asked.get("down") == "1",
        show=shows.get(asked.get("show", ""), "all"),
        page=number_of(asked.get("page", ""), 1),
        limit=min(number_of(asked.get("limit", ""), PAGE), MOST),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A cluster in the list. spark: its histogram, between the clustering's outermost bins."""

    number: int
    label: str
    members: tuple[str, ...]
    size: int
    status: str
    density: float
    firing_tokens: int
    mean: float | None
    high: float
    spark: tuple[int, ...]
    best: Context | None


@dataclass(frozen=True)
class Listing:
    """One page of a clustering's list. dead: clusters of the clustering that never fired.

    start, stop: which of the ``found`` clusters are shown.
    """

    clustering: LoadedClustering
    query: Query
    rows: tuple[Row, ...]
    start: int
    stop: int
    found: int
    total: int
    dead: int
    pages: int

    @cached_property
    def several(self) -> bool:
        """Whether some cluster shown has several members."""
        return any(row.size > 1 for row in self.rows)


def make_listing(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query, start: int | None = None
) -> Listing:
    """Return the page of the list that a query asks for; beyond the last it is the last.

    start: the first row, in place of the query's page.
    """
    found = _found(snapshot, clustering, query)
    pages = max(1, -(-len(found) // query.limit))
    if start is None:
        query = replace(query, page=min(query.page, pages))
        start = (query.page - 1) * query.limit
    stop = min(start + query.limit, len(found))
    firing = snapshot.firing_tokens[clustering.first : clustering.stop]
    return Listing(
        clustering=clustering,
        query=query,
        rows=tuple(_rows(snapshot, clustering, found[start:stop].tolist())),
        start=start,
        stop=stop,
        found=len(found),
        total=len(firing),
        dead=int((firing == 0).sum()),
        pages=pages,
    )


def _found(snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query) -> I64:
    """Return the clusters that match, in the order asked for.

    A search finds by part of the label or by a member's whole name.
    """
    span = slice(clustering.first, clustering.stop)
    keep: Bool = np.ones(clustering.stop - clustering.first, dtype=bool)
    if query.search:
        lowered = snapshot.once("lowered labels", lambda: pc.utf8_lower(snapshot.labels))
        match = pc.match_substring(lowered[span], query.search.lower())
        keep = np.array(match.to_numpy(zero_copy_only=False))
        holders = np.asarray(snapshot.holders(query.search), np.int64) - clustering.first
        keep[holders[(holders >= 0) & (holders < len(keep))]] = True
    if query.show != "all":
        keep &= (snapshot.firing_tokens[span] > 0) == (query.show == "live")
    order = _order(snapshot, clustering, query)
    return clustering.first + order[keep[order]]


def _order(snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query) -> I64:
    """Return a clustering's clusters in order, as numbers in it; equal ones as the run has them."""
    key = ("order", clustering.first, query.sort, query.descending)
    return snapshot.once(key, lambda: _sorted(snapshot, clustering, query))


def _sorted(snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query) -> I64:
    span = slice(clustering.first, clustering.stop)
    columns: dict[str, AnyArray] = {
        "density": snapshot.firing_tokens,
        "max": snapshot.high,
        "mean": snapshot.means,
        "members": snapshot.sizes,
    }
    if query.sort in columns:
        values = columns[query.sort][span].astype(float)
        return np.argsort(-values if query.descending else values, kind="stable")
    order = np.arange(clustering.stop - clustering.first)
    if query.sort == "label":
        labels = snapshot.labels[span].to_pylist()
        order = np.argsort(np.array([str(label).casefold() for label in labels]), kind="stable")
    return order[::-1] if query.descending else order


def _rows(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, shown: list[int]
) -> Iterator[Row]:
    best = best_contexts(snapshot, [c for c in shown if snapshot.firing_tokens[c]])
    bins = snapshot.once(("bins", clustering.first), lambda: _bins(snapshot, clustering))
    for cluster in shown:
        members = snapshot.members(cluster)
        mean = float(snapshot.means[cluster])
        yield Row(
            number=cluster,
            label=snapshot.label(cluster),
            members=tuple(members[:4]),
            size=len(members),
            status=snapshot.status(cluster),
            density=float(snapshot.densities[cluster]),
            firing_tokens=int(snapshot.firing_tokens[cluster]),
            mean=None if math.isnan(mean) else mean,
            high=float(snapshot.high[cluster]),
            spark=tuple(snapshot.histogram[cluster, bins].tolist()),
            best=best.get(cluster),
        )


def _bins(snapshot: LoadedSnapshot, clustering: LoadedClustering) -> slice:
    """Return the bins of the histogram that hold something anywhere, and those between."""
    filled = np.flatnonzero(snapshot.histogram[clustering.first : clustering.stop].any(axis=0))
    return slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0)
