"""Features that two dictionaries share: by decoder direction, co-activation and contexts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from downstream.derived.dictionaries import Dictionary
from downstream.derived.neighbours import nearest
from downstream.reading.shared_firings import SharedFirings, read_shared_firings
from downstream.reading.snapshot import Snapshot
from streams.arrays import F64, I64
from streams.errors import SnapshotError

_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Partners:
    """The best partner of each feature in another dictionary, [feature]; index -1 for none."""

    index: I64
    score: F64


class Evidence:
    """What a snapshot knows of pairs of its clusters; tables are read when first asked for.

    notes: what it does not know, a line each.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.notes: list[str] = []

    def coactivation(self, own: slice, other: slice) -> Partners | None:
        """Return partners by the Jaccard index of tokens, in the rows of the ranking ``shared``."""
        if self._firings is None:
            return None
        found = _none(own)
        for block in _blocks(own):
            pairs = self._firings.pairs(block, other)
            _keep_best(found, pairs.a - own.start, pairs.b - other.start, pairs.jaccard)
        return found

    def contexts(self, own: slice, other: slice) -> Partners:
        """Return partners by the Jaccard index of the samples of their max-activating examples."""
        found = _none(own)
        held = np.diff(self._examples.indptr)
        for block in _blocks(own):
            both = (self._examples[block] @ self._examples[other].T).tocoo()
            a, b = both.row.astype(np.int64) + block.start, both.col.astype(np.int64)
            score = both.data / (held[a] + held[other][b] - both.data)
            _keep_best(found, a - own.start, b, score)
        return found

    @cached_property
    def _firings(self) -> SharedFirings | None:
        try:
            return read_shared_firings(self._snapshot.manifest)
        except SnapshotError as error:
            self.notes.append(f"co-activation is not known: {error}")
            return None

    @cached_property
    def _examples(self) -> Any:
        """Which samples are among the examples of the run's first ranking, [cluster, sample]."""
        from scipy import sparse

        wanted = [("ranking", "==", self._snapshot.rankings[0])]
        hits = self._snapshot.table("hits", columns=["cluster", "sample"], filters=wanted).arrow
        encoded = hits["sample"].combine_chunks().dictionary_encode()
        at = (hits["cluster"].to_numpy(), encoded.indices.to_numpy())
        shape = (len(self._snapshot.clusters), max(len(encoded.dictionary), 1))
        return sparse.csr_array((np.ones(len(hits), np.int32), at), shape=shape)


def by_decoder(one: Dictionary, other: Dictionary) -> Partners | None:
    """Return partners by the cosine of decoder directions; None if they cannot be compared."""
    ours, theirs = one.decoder, other.decoder
    if ours is None or theirs is None or ours.shape[1] != theirs.shape[1]:
        return None
    indices, cosines = nearest(ours, theirs, 1, same=False)
    return Partners(indices[:, 0], cosines[:, 0].astype(np.float64))


def _none(own: slice) -> Partners:
    size = own.stop - own.start
    return Partners(np.full(size, -1, np.int64), np.zeros(size))


def _blocks(own: slice) -> Iterator[slice]:
    for first in range(own.start, own.stop, _BLOCK):
        yield slice(first, min(first + _BLOCK, own.stop))


def _keep_best(found: Partners, a: I64, b: I64, score: F64) -> None:
    """Take the b with the highest score of each a, of equal ones the first; a rises."""
    starts = np.flatnonzero(np.diff(a, prepend=-1))
    if not len(starts):
        return
    best = np.maximum.reduceat(score, starts)
    highest = score == np.repeat(best, np.diff(np.r_[starts, len(a)]))
    found.index[a[starts]] = np.minimum.reduceat(
        np.where(highest, b, np.iinfo(b.dtype).max), starts
    )
    found.score[a[starts]] = best


def pairs_of(count: int) -> Iterator[tuple[int, int]]:
    """Yield the ordered pairs of so many."""
    for one in range(count):
        for other in range(count):
            if one != other:
                yield one, other
