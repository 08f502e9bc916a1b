"""The list of a clustering's clusters: filtered, sorted and cut into pages."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from downstream.dashboard.contexts import Context, best_contexts
from downstream.dashboard.data import LoadedClustering, LoadedSnapshot
from downstream.dashboard.finding import NO_MARKS, Found, find
from downstream.dashboard.labels import Marks
from downstream.dashboard.list_query import Query
from downstream.reading.token_text import readable
from streams.arrays import I64, AnyArray, Bool
from streams.snapshots.annotations import ClusterAnnotations


@dataclass(frozen=True, slots=True)
class Peak:
    """A token, as shown, and how many examples peak there."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A cluster in the list. spark: its histogram, between the clustering's outermost bins.

    peaks: the tokens at which most of its ``examples`` best examples peak. why: how many of them
    peak at the token, and have the words, that were looked for; at how many such tokens it is
    active.
    """

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
    peaks: tuple[Peak, ...]
    examples: int
    written: ClusterAnnotations | None
    why: tuple[int, int, int]


@dataclass(frozen=True)
class Listing:
    """One page of a clustering's list. dead: clusters of the clustering that never fired.

    start, stop: which of the ``found`` clusters are shown. searchable: whether words of examples
    could be looked for.
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
    searchable: bool

    @cached_property
    def several(self) -> bool:
        """Whether some cluster shown has several members."""
        return any(row.size > 1 for row in self.rows)


def make_listing(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    query: Query,
    start: int | None = None,
    marks: Marks = NO_MARKS,
) -> Listing:
    """Return the page of the list that a query asks for; beyond the last it is the last.

    start: the first row, in place of the query's page.
    """
    match = find(snapshot, clustering, query.search, marks) if query.search else None
    found = _in_order(snapshot, clustering, query, match, marks)
    pages = max(1, -(-len(found) // query.limit))
    if start is None:
        query = replace(query, page=min(query.page, pages))
        start = (query.page - 1) * query.limit
    stop = min(start + query.limit, len(found))
    firing = snapshot.firing_tokens[clustering.first : clustering.stop]
    return Listing(
        clustering=clustering,
        query=query,
        rows=tuple(_rows(snapshot, clustering, found[start:stop].tolist(), match, marks)),
        start=start,
        stop=stop,
        found=len(found),
        total=len(firing),
        dead=int((firing == 0).sum()),
        pages=pages,
        searchable=snapshot.text_index.ready,
    )


def matching(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query, marks: Marks = NO_MARKS
) -> I64:
    """Return the clusters that a query asks for, all pages of them, in its order."""
    match = find(snapshot, clustering, query.search, marks) if query.search else None
    return _in_order(snapshot, clustering, query, match, marks)


def _in_order(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    query: Query,
    match: Found | None,
    marks: Marks,
) -> I64:
    """Return the clusters that match, in the order asked for; of a search the best match first."""
    span = slice(clustering.first, clustering.stop)
    keep: Bool = np.ones(clustering.stop - clustering.first, dtype=bool)
    if match is not None:
        keep &= match.keep
    if query.show != "all":
        keep &= (snapshot.firing_tokens[span] > 0) == (query.show == "live")
    if query.marked:
        chosen = marks.labelled("") if query.marked == "labelled" else marks.starred()
        keep &= np.isin(np.arange(len(keep)), chosen)
    columns: dict[str, AnyArray] = {
        "density": snapshot.densities,
        "max": snapshot.high,
        "mean": snapshot.means,
    }
    for each in query.ranges:
        keep &= (columns[each.name][span] >= each.low) & (columns[each.name][span] <= each.high)
    if match is not None and query.sort == "order":
        order = match.order()[:: -1 if query.descending else 1]
    else:
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
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    shown: list[int],
    match: Found | None,
    marks: Marks,
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
            peaks=peaks_of(snapshot, cluster),
            examples=int(np.diff(snapshot.examples.first[cluster : cluster + 2])[0]),
            written=marks.of.get(cluster - clustering.first),
            why=match.why(cluster - clustering.first) if match else (0, 0, 0),
        )


def peaks_of(snapshot: LoadedSnapshot, cluster: int) -> tuple[Peak, ...]:
    """Return the tokens at which most of a cluster's best examples peak."""
    found = snapshot.examples.peak_tokens(cluster)
    shown = (snapshot.row_bytes([token, token, token])[1] for token, _ in found)
    texts = ("".join(piece.text for piece in readable([raw])[0]) for raw in shown)
    return tuple(Peak(text, count) for text, (_, count) in zip(texts, found, strict=True))


def _bins(snapshot: LoadedSnapshot, clustering: LoadedClustering) -> slice:
    """Return the bins of the histogram that hold something anywhere, and those between."""
    filled = np.flatnonzero(snapshot.histogram[clustering.first : clustering.stop].any(axis=0))
    return slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0)
