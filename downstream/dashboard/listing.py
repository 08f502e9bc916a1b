"""The list of a clustering's clusters: filtered, sorted and cut into pages."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from downstream.dashboard.columns import Column, columns_of, values_of
from downstream.dashboard.domains import counted, share_in_domain
from downstream.dashboard.finding import NO_MARKS, Found, find
from downstream.dashboard.labels import Marks
from downstream.dashboard.list_query import DOMAIN, Query
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.list_rows import Row, list_rows
from streams.arrays import I64, AnyArray, Bool


@dataclass(frozen=True)
class Listing:
    """One page of a clustering's list. dead: clusters of the clustering that never fired.

    start, stop: which of the ``found`` clusters are shown. searchable: whether words of examples
    could be looked for. columns: shown beside the built-in ones.
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
    columns: tuple[Column, ...]

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
    columns = _columns(snapshot, query)
    numbers = [_values(snapshot, query, column.name) for column in columns]
    why = match.why if match else None
    return Listing(
        clustering=clustering,
        query=query,
        rows=tuple(list_rows(snapshot, clustering, found[start:stop], marks.of, numbers, why)),
        start=start,
        stop=stop,
        found=len(found),
        total=len(firing),
        dead=int((firing == 0).sum()),
        pages=pages,
        searchable=snapshot.text_index.ready,
        columns=columns,
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
    if query.domain:
        keep &= share_in_domain(snapshot, query.domain)[span] > 0
    for each in query.ranges:
        values = _values(snapshot, query, each.name)[span]
        keep &= (values >= each.low) & (values <= each.high)
    if match is not None and query.sort == "order":
        order = match.order()[:: -1 if query.descending else 1]
    else:
        order = _order(snapshot, clustering, query)
    return clustering.first + order[keep[order]]


def _columns(snapshot: LoadedSnapshot, query: Query) -> tuple[Column, ...]:
    """Return the columns that a list shows beside the built-in ones."""
    known = {**columns_of(snapshot), DOMAIN: _domain_column(snapshot, query.domain)}
    return tuple(known[name] for name in query.shown() if name in known)


def _domain_column(snapshot: LoadedSnapshot, domain: str) -> Column:
    of, meaning = ("active tokens", "exact") if counted(snapshot) else ("best examples", "sampled")
    return Column(DOMAIN, f"In {domain}", f"share of its {of} in the domain", None, "", meaning)


def _values(snapshot: LoadedSnapshot, query: Query, name: str) -> AnyArray:
    """Return the numbers [cluster] of a column by its name."""
    if name == DOMAIN:
        return share_in_domain(snapshot, query.domain)
    column = columns_of(snapshot).get(name)
    return values_of(snapshot, column) if column else np.full(len(snapshot.labels), np.nan)


def _order(snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query) -> I64:
    """Return a clustering's clusters in order, as numbers in it; equal ones as the run has them."""
    if query.sort == DOMAIN:
        return _sorted(snapshot, clustering, query)
    column = columns_of(snapshot).get(query.sort)
    key = ("order", clustering.first, column.key if column else query.sort, query.descending)
    return snapshot.once(key, lambda: _sorted(snapshot, clustering, query))


def _sorted(snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query) -> I64:
    span = slice(clustering.first, clustering.stop)
    if query.sort not in ("order", "label"):
        sizes = query.sort == "members"
        values = snapshot.sizes if sizes else _values(snapshot, query, query.sort)
        ours = values[span].astype(float)
        return np.argsort(-ours if query.descending else ours, kind="stable")  # NaN is last
    order = np.arange(clustering.stop - clustering.first)
    if query.sort == "label":
        labels = snapshot.labels[span].to_pylist()
        order = np.argsort(np.array([str(label).casefold() for label in labels]), kind="stable")
    return order[::-1] if query.descending else order
