"""The list of a clustering's clusters: filtered, sorted and cut into pages."""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from downstream.dashboard.columns import Column, columns_of, values_of
from downstream.dashboard.concepts import Concept, Nearness, nearness
from downstream.dashboard.domains import counted, share_in_domain
from downstream.dashboard.finding import NO_MARKS, Found, find
from downstream.dashboard.labels import Marks
from downstream.dashboard.list_query import DOMAIN, SIMILARITY, Query
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.list_rows import Row, list_rows
from streams.arrays import I64, AnyArray, Bool

_NEAR = Column(
    SIMILARITY,
    "Similarity",
    "cosine of the concept with the label or the strongest contexts, the larger of the two",
    3,
    meaning="with error",
)


@dataclass(frozen=True)
class Listing:
    """One page of a clustering's list. dead: clusters of the clustering that never fired.

    start, stop: which of the ``found`` clusters are shown. searchable: whether words of examples
    could be looked for. columns: shown beside the built-in ones. near: to the concept of the
    search, None if it asks for none.
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
    near: Nearness | None

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
    concept: Concept | None = None,
) -> Listing:
    """Return the page of the list that a query asks for; beyond the last it is the last.

    start: the first row, in place of the query's page. concept: that of the query's search.
    """
    match, near = _match(snapshot, clustering, query, marks, concept)
    found = _in_order(snapshot, clustering, query, match, marks)
    pages = max(1, -(-len(found) // query.limit))
    if start is None:
        query = replace(query, page=min(query.page, pages))
        start = (query.page - 1) * query.limit
    stop = min(start + query.limit, len(found))
    firing = snapshot.firing_tokens[clustering.first : clustering.stop]
    columns = _columns(snapshot, query)
    numbers = [_values(snapshot, clustering, query, column.name, match) for column in columns]
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
        near=near,
    )


def matching(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    query: Query,
    marks: Marks = NO_MARKS,
    concept: Concept | None = None,
) -> I64:
    """Return the clusters that a query asks for, all pages of them, in its order."""
    match, _ = _match(snapshot, clustering, query, marks, concept)
    return _in_order(snapshot, clustering, query, match, marks)


def _match(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    query: Query,
    marks: Marks,
    concept: Concept | None,
) -> tuple[Found | None, Nearness | None]:
    """Return what a search finds, and how near that is to its concept; None for none."""
    if not query.search:
        return None, None
    near = nearness(snapshot, clustering, concept) if query.concept else None
    similarity = near.similarity if near else None
    return find(snapshot, clustering, query.search, marks, similarity), near


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
        values = _values(snapshot, clustering, query, each.name, match)[span]
        keep &= (values >= each.low) & (values <= each.high)
    if match is not None and query.sort == "order":
        order = match.order()[:: -1 if query.descending else 1]
    else:
        order = _order(snapshot, clustering, query, match)
    return clustering.first + order[keep[order]]


def _columns(snapshot: LoadedSnapshot, query: Query) -> tuple[Column, ...]:
    """Return the columns that a list shows beside the built-in ones."""
    known = {**columns_of(snapshot), DOMAIN: _domain_column(snapshot, query.domain)}
    known[SIMILARITY] = _NEAR
    return tuple(known[name] for name in query.shown() if name in known)


def _domain_column(snapshot: LoadedSnapshot, domain: str) -> Column:
    of, meaning = ("active tokens", "exact") if counted(snapshot) else ("best examples", "sampled")
    return Column(DOMAIN, f"In {domain}", f"share of its {of} in the domain", None, "", meaning)


def _values(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    query: Query,
    name: str,
    match: Found | None,
) -> AnyArray:
    """Return the numbers [cluster] of a column by its name; of a similarity, a clustering's."""
    if name == DOMAIN:
        return share_in_domain(snapshot, query.domain)
    if name == SIMILARITY:
        near = np.full(len(snapshot.labels), np.nan, np.float32)
        if match is not None and match.similarity is not None:
            near[clustering.first : clustering.stop] = match.similarity
        return near
    column = columns_of(snapshot).get(name)
    return values_of(snapshot, column) if column else np.full(len(snapshot.labels), np.nan)


def _order(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query, match: Found | None
) -> I64:
    """Return a clustering's clusters in order, as numbers in it; equal ones as the run has them."""
    if query.sort in (DOMAIN, SIMILARITY):
        return _sorted(snapshot, clustering, query, match)
    column = columns_of(snapshot).get(query.sort)
    key = ("order", clustering.first, column.key if column else query.sort, query.descending)
    return snapshot.once(key, lambda: _sorted(snapshot, clustering, query, match))


def _sorted(
    snapshot: LoadedSnapshot, clustering: LoadedClustering, query: Query, match: Found | None
) -> I64:
    span = slice(clustering.first, clustering.stop)
    if query.sort not in ("order", "label"):
        sizes = query.sort == "members"
        named = partial(_values, snapshot, clustering, query, query.sort, match)
        values = snapshot.sizes if sizes else named()
        ours = values[span].astype(float)
        return np.argsort(-ours if query.descending else ours, kind="stable")  # NaN is last
    order = np.arange(clustering.stop - clustering.first)
    if query.sort == "label":
        labels = snapshot.labels[span].to_pylist()
        order = np.argsort(np.array([str(label).casefold() for label in labels]), kind="stable")
    return order[::-1] if query.descending else order
