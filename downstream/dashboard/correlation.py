"""Activation correlation of clusters of two snapshots, in rows chosen by the hash of their text.

The ranking ``shared`` keeps, of each cluster, the rows of smallest sample key in which it is
active. Up to the last row of a full table, and everywhere if it is not full, all its activations
are known, zeros included. So the Pearson correlation of two clusters over all tokens of the rows in
which both are known is exact for these rows, and they are a random sample of the corpus.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from downstream.dashboard.comparison_pairs import Pairs, Part
from downstream.reading.shared_firings import LEAST
from downstream.reading.silent import RANKING, read_shared_rows
from streams.arrays import F64, I64, AnyArray, Bool
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

WORK = 5 * 10**7
"""Products of two activations that a comparison takes at most: a second or two."""

_BLOCK = 10**6
"""Products at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Activations:
    """Activations of the clusters of a part in the rows of the ranking ``shared``.

    keys [row]: sample keys, ascending. lengths [row]: tokens. cluster, row, position, value: one
    entry per activation. last [cluster]: the key up to which all rows are known, and full
    [cluster]: whether it says anything; if not, all rows are known.
    """

    clusters: int
    keys: AnyArray
    lengths: I64
    cluster: I64
    row: I64
    position: I64
    value: F64
    last: AnyArray
    full: Bool


@dataclass(frozen=True, eq=False)
class _Side:
    """Activations in the rows compared. values: [cluster, token]. end [cluster]: known rows."""

    values: Any
    end: I64

    def sums(self, cluster: I64, stop: I64) -> tuple[F64, F64]:
        """Return sums [pair] of activations and of their squares over the tokens before stop."""
        width, indptr = self.values.shape[1] + 1, self.values.indptr
        at, first = np.searchsorted(self._keys, cluster * width + stop), indptr[cluster]
        plain, squares = self._running
        return plain[at] - plain[first], squares[at] - squares[first]

    @cached_property
    def _keys(self) -> I64:
        owner = np.repeat(np.arange(self.values.shape[0]), np.diff(self.values.indptr))
        found: I64 = owner * (self.values.shape[1] + 1) + self.values.indices
        return found

    @cached_property
    def _running(self) -> tuple[F64, F64]:
        values = self.values.data
        return np.r_[0.0, np.cumsum(values)], np.r_[0.0, np.cumsum(values**2)]


def pairs_by_correlation(one: Part, other: Part) -> Pairs | None:
    """Return of each cluster its best partner by activation correlation; None if unknown.

    Raises SnapshotError for tables that do not fit together.
    """
    sides = [part.snapshot for part in (one, other)]
    if any(RANKING not in each.rankings or not each.manifest.final for each in sides):
        return None
    a = read_activations(one)
    b = a if one.key == other.key else read_activations(other)
    return correlated(a, b, same_text=_same_text(one, other))


def read_activations(part: Part) -> Activations:
    """Return the activations of a part's clusters; raises SnapshotError if they make no sense."""
    manifest, here, text = part.snapshot.manifest, part.clustering, part.snapshot.text
    rows = read_shared_rows(manifest)
    filters = [("ranking", "==", RANKING)]
    columns = ("positions", "activations")
    table = read_table(manifest, "hits", columns=columns, filters=filters).combine_chunks()
    lists, values = (table[name].combine_chunks() for name in columns)
    counts = np.diff(lists.offsets.to_numpy())
    position = lists.flatten().to_numpy().astype(np.int64)
    samples = text.places.find(rows.places)
    lengths = np.where(samples >= 0, np.diff(text.first)[samples], 0)
    row = np.repeat(rows.number, counts)
    fits = len(counts) == len(rows.cluster) and counts.sum() == len(values.flatten())
    if not fits or not ((position >= 0) & (position < lengths[row])).all():
        raise SnapshotError(f"snapshot {manifest.snapshot!r} has hits outside of its rows")
    cluster = np.repeat(rows.cluster, counts) - here.first
    ours = (cluster >= 0) & (cluster < part.size)
    held = (rows.cluster >= here.first) & (rows.cluster < here.stop)
    last = np.zeros(part.size, np.int64)
    np.maximum.at(last, rows.cluster[held] - here.first, rows.number[held])
    keys = np.ascontiguousarray(rows.keys).view("S16").reshape(-1)
    return Activations(
        clusters=part.size,
        keys=keys,
        lengths=lengths,
        cluster=cluster[ours],
        row=row[ours],
        position=position[ours],
        value=values.flatten().to_numpy().astype(np.float64)[ours],
        last=keys[last] if len(keys) else np.zeros(part.size, "S16"),
        full=np.bincount(rows.cluster[held] - here.first, minlength=part.size) >= rows.k,
    )


def correlated(one: Activations, other: Activations, *, same_text: bool, work: int = WORK) -> Pairs:
    """Return of each cluster of either side its best partner by Pearson's r, r above 0.

    The same activations on both sides are compared with each other, none with itself.

    same_text: both looked at the same corpus, so that a row that one lists is silent in the other
    unless listed; else only rows that both list are compared. Both have to be active at ``LEAST``
    tokens together. Where there are too many products, the first rows by key are looked at alone.
    """
    merge = np.union1d if same_text else np.intersect1d
    keys = merge(one.keys, other.keys)
    lengths = np.maximum(*(_spread(each, keys) for each in (one, other)))
    first = np.r_[0, np.cumsum(lengths)]
    a, b = (_side(each, keys, first) for each in (one, other))
    rows = _affordable(a, b, first, work)
    a, b = (_Side(each.values[:, : first[rows]], np.minimum(each.end, rows)) for each in (a, b))
    found, of_b = [(_NOTHING, _NOTHING, np.zeros(0))], np.full(other.clusters, -1, np.int64)
    score_b = np.zeros(other.clusters)
    for pairs in _correlations(a, b, first, alike=one is other):
        of_a, score_a = pairs.best(one.clusters)
        chosen = np.flatnonzero(of_a >= 0)
        found.append((chosen, of_a[chosen], score_a[chosen]))
        partner, score = pairs.best(other.clusters, of_b=True)
        better = (partner >= 0) & (score > score_b)
        of_b[better], score_b[better] = partner[better], score[better]
    chosen = np.flatnonzero(of_b >= 0)
    found.append((of_b[chosen], chosen, score_b[chosen]))
    left, right, scores = zip(*found, strict=True)
    note = f"{rows:,} contexts of {first[rows]:,} tokens were compared"
    return Pairs(np.concatenate(left), np.concatenate(right), np.concatenate(scores), note)


def _spread(side: Activations, keys: AnyArray) -> I64:
    """Return the tokens of the rows of ``keys`` that a side lists, 0 for others."""
    found = np.zeros(len(keys), np.int64)
    at = np.searchsorted(keys, side.keys)
    inside = at < len(keys)
    inside[inside] = keys[at[inside]] == side.keys[inside]
    found[at[inside]] = side.lengths[inside]
    return found


def _side(side: Activations, keys: AnyArray, first: I64) -> _Side:
    """Return a side's activations by token of the rows of ``keys``."""
    from scipy import sparse

    at = np.searchsorted(keys, side.keys)
    there = at < len(keys)
    there[there] = keys[at[there]] == side.keys[there]
    inside = there[side.row]
    place = (side.cluster[inside], first[at[side.row[inside]]] + side.position[inside])
    shape = (side.clusters, int(first[-1]))
    values = sparse.csr_array((side.value[inside], place), shape=shape)
    values.sort_indices()
    known = np.searchsorted(keys, side.last, side="right")
    return _Side(values, np.where(side.full, known, len(keys)))


def _affordable(a: _Side, b: _Side, first: I64, work: int) -> int:
    """Return of how many rows, from the first on, all products can be taken."""
    tokens = [np.bincount(s.values.indices, minlength=int(first[-1])) for s in (a, b)]
    products = np.r_[0, np.cumsum(tokens[0] * tokens[1])]
    return int(np.searchsorted(products[first], work, side="right")) - 1


def _correlations(a: _Side, b: _Side, first: I64, *, alike: bool) -> Iterator[Pairs]:
    """Yield the pairs that are active together, some clusters of A at a time.

    alike: a cluster is not its own partner.
    """
    per_token = np.bincount(b.values.indices, minlength=b.values.shape[1])
    products = np.r_[0, np.cumsum(per_token[a.values.indices])][a.values.indptr]
    blocks = np.searchsorted(products, np.arange(0, products[-1], _BLOCK))
    turned, fires = b.values.T.tocsr(), (b.values > 0).astype(np.float64).T.tocsr()
    for begin, stop in pairwise([*np.unique(blocks).tolist(), a.values.shape[0]]):
        ours = a.values[begin:stop]
        both = ((ours > 0).astype(np.float64) @ fires).tocoo()
        some = both.data >= LEAST
        left, right = both.row[some].astype(np.int64), both.col[some].astype(np.int64)
        product = np.asarray((ours @ turned).tocsr()[left, right]).reshape(-1)
        stop_row = np.minimum(a.end[left + begin], b.end[right])
        r = _pearson(first[stop_row], product, a.sums(left + begin, first[stop_row]),
                     b.sums(right, first[stop_row]))  # fmt: skip
        keep = np.isfinite(r) & (r > 0)
        keep &= (left + begin != right) if alike else True
        yield Pairs(left[keep] + begin, right[keep], r[keep])


def _pearson(n: I64, xy: F64, x: tuple[F64, F64], y: tuple[F64, F64]) -> F64:
    """Return Pearson's r from the sums over n tokens; x, y: sums and sums of squares."""
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (n * x[1] - x[0] ** 2) * (n * y[1] - y[0] ** 2)
        found: F64 = np.minimum((n * xy - x[0] * y[0]) / np.sqrt(spread), 1.0)
    return found


def _same_text(one: Part, other: Part) -> bool:
    """Whether two runs read the same text, as far as their snapshots say."""
    sides = [part.snapshot for part in (one, other)]
    said = {(s.about["corpus"], s.about["context"], s.tokens, s.rows) for s in sides}
    return len(said) == 1


_NOTHING: I64 = np.zeros(0, np.int64)
