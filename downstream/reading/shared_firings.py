"""Co-activation in rows chosen by their sample key: pairs of any clusters of a run, with error.

The ranking ``shared`` keeps, of each cluster, the rows of smallest key in which it is active, and
where. Up to the last row of a full table, and everywhere if it is not full, a cluster's firings are
all known; so of two clusters they are known in the same rows, the beginning of one random order
(coordinated bottom-k samples: Cohen and Kaplan 2007). Counts in these rows are exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from downstream.reading.silent import RANKING, SharedRows, read_shared_rows
from streams.arrays import F64, I64, Bool
from streams.errors import SnapshotError
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import CLUSTERS

LEAST = 2
"""Tokens at which both of a pair have to be active: one alone says nothing."""

_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of clusters ``a`` and ``b`` in the rows in which both are known.

    both, of_a, of_b: tokens at which both, a, and b are active there.
    """

    a: I64
    b: I64
    both: I64
    of_a: I64
    of_b: I64

    @property
    def jaccard(self) -> F64:
        """Tokens at which both are active over those at which one is."""
        found: F64 = self.both / (self.of_a + self.of_b - self.both)
        return found

    def take(self, at: I64) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(*(getattr(self, name)[at] for name in self.__dataclass_fields__))

    def best(self, k: int) -> "Pairs":
        """Return the k pairs of each a with the largest Jaccard index, best first."""
        order = np.lexsort((self.b, -self.both, -self.jaccard, self.a))
        a = self.a[order]
        return self.take(order[np.arange(len(a)) - np.searchsorted(a, a) < k])


@dataclass(frozen=True, eq=False)
class PairErrors:
    """What is uncertain of pairs. exact: both clusters' tables have every row there is.

    rows: how many rows were looked at, in which one of the two is active. jaccard, given_a:
    standard errors of the Jaccard index and of P(b | a), over rows: that of a ratio of sums
    (Cochran 1977), 1 where there is a single row, 0 where it is exact.
    """

    exact: Bool
    rows: I64
    jaccard: F64
    given_a: F64


@dataclass(frozen=True, eq=False)
class SharedFirings:
    """Firings in the shared rows. fires: [cluster, number of row * context + position], ones.

    end [cluster]: how many of the rows, from the first on, are known. full [cluster]: whether its
    table is, so that there may be more.
    """

    rows: SharedRows
    context: int
    fires: Any
    end: I64
    full: Bool

    def pairs(self, clusters: slice, others: slice) -> Pairs:
        """Return the pairs that are active at ``LEAST`` tokens or more."""
        found = (self.fires[clusters] @ self.fires[others].T).tocoo()
        a, b = found.row.astype(np.int64) + clusters.start, found.col.astype(np.int64)
        b += others.start
        some = np.flatnonzero((found.data >= LEAST) & (a != b))
        a, b, both = a[some], b[some], found.data[some].astype(np.int64)
        return Pairs(a, b, both, self._until(a, self.end[b]), self._until(b, self.end[a]))

    def best_pairs(self, clusters: slice, others: slice, k: int) -> Iterator[Pairs]:
        """Yield the best k of each cluster, some clusters at a time."""
        for first in range(clusters.start, clusters.stop, _BLOCK):
            block = slice(first, min(first + _BLOCK, clusters.stop))
            yield self.pairs(block, others).best(k)

    def errors(self, pairs: Pairs) -> PairErrors:
        """Return how far off the numbers of pairs may be."""
        end = np.minimum(self.end[pairs.a], self.end[pairs.b])
        a, b = (_until_row(self._by_row[each], end) for each in (pairs.a, pairs.b))
        both = self._rows_of(self.fires[pairs.a].multiply(self.fires[pairs.b]).tocsr())
        either = a + b - both
        exact = ~(self.full[pairs.a] | self.full[pairs.b])
        given = pairs.both / np.maximum(pairs.of_a, 1)
        return PairErrors(
            exact,
            _count(either),
            np.where(exact, 0.0, _ratio_error(both, either, pairs.jaccard)),
            np.where(exact, 0.0, _ratio_error(both, a, given)),
        )

    def _until(self, cluster: I64, end: I64) -> I64:
        """Return at how many tokens of the rows before ``end`` clusters are active."""
        wanted = cluster * self.fires.shape[1] + end * self.context
        found: I64 = np.searchsorted(self._keys, wanted) - self.fires.indptr[cluster]
        return found

    @cached_property
    def _keys(self) -> I64:
        cluster = np.repeat(np.arange(self.fires.shape[0]), np.diff(self.fires.indptr))
        found: I64 = cluster * self.fires.shape[1] + self.fires.indices
        return found

    @cached_property
    def _by_row(self) -> Any:
        return self._rows_of(self.fires)

    def _rows_of(self, tokens: Any) -> Any:
        """Return how many tokens each row has, [line, row], of [line, row * context + position]."""
        from scipy import sparse  # takes as long to import as half the dashboard

        shape = (tokens.shape[0], tokens.shape[1] // self.context)
        row, bounds = tokens.indices // self.context, tokens.indptr.copy()  # both will change
        found = sparse.csr_array((tokens.data.astype(np.float64), row, bounds), shape=shape)
        found.sum_duplicates()
        return found


def read_shared_firings(manifest: RunManifest) -> SharedFirings:
    """Return the firings in the shared rows of a snapshot.

    Raises SnapshotError unless the run has the ranking ``shared`` and the snapshot is final.
    """
    rows = read_shared_rows(manifest)
    from scipy import sparse

    filters = [("ranking", "==", RANKING)]
    table = read_table(manifest, "hits", columns=("positions",), filters=filters).combine_chunks()
    lists = table["positions"].combine_chunks()
    positions = lists.flatten().to_numpy().astype(np.int64)
    counts = np.diff(lists.offsets.to_numpy().astype(np.int64))
    entry = find_entry(manifest.tables, CLUSTERS.name)
    clusters, context = entry.rows if entry else 0, int(manifest.about["context"])
    inside = not len(positions) or 0 <= positions.min() <= positions.max() < context
    if not inside or len(counts) != len(rows.cluster) or rows.cluster.max(initial=-1) >= clusters:
        raise SnapshotError(f"snapshot {manifest.snapshot!r} has hits outside of its rows")
    column = np.repeat(rows.number, counts) * context + positions
    cluster = np.repeat(rows.cluster, counts)
    shape = (clusters, len(rows.places) * context)
    fires = sparse.csr_array((np.ones(len(column), np.int32), (cluster, column)), shape=shape)
    fires.sort_indices()
    held = np.bincount(rows.cluster, minlength=clusters)
    last = np.zeros(clusters, np.int64)
    np.maximum.at(last, rows.cluster, rows.number + 1)
    full = held >= rows.k
    return SharedFirings(rows, context, fires, np.where(full, last, len(rows.places)), full)


def _until_row(counts: Any, end: I64) -> Any:
    """Return counts [line, row] with those of rows from a line's ``end`` on left out."""
    from scipy import sparse

    line = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    keep = counts.indices < end[line]
    parts = (counts.data[keep], (line[keep], counts.indices[keep]))
    return sparse.csr_array(parts, shape=counts.shape)


def _count(counts: Any) -> I64:
    """Return in how many rows there is something."""
    found: I64 = np.asarray((counts > 0).sum(axis=1)).reshape(-1).astype(np.int64)
    return found


def _ratio_error(over: Any, under: Any, ratio: F64) -> F64:
    """Return the standard errors of sums of ``over`` / sums of ``under``, both [line, row]."""

    def sums(counts: Any) -> F64:
        found: F64 = np.asarray(counts.sum(axis=1), np.float64).reshape(-1)
        return found

    rows = _count(under)
    off = sums(over.multiply(over)) - 2 * ratio * sums(over.multiply(under))
    off += ratio * ratio * sums(under.multiply(under))
    spread = np.maximum(off, 0) * rows / np.maximum(rows - 1, 1)
    found = np.sqrt(spread) / np.maximum(sums(under), 1)
    return np.where(rows > 1, np.minimum(found, 1.0), 1.0)
