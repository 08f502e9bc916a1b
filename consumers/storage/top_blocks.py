"""The best samples of each cluster with all rows of their members, dense, in slots.

Which samples those are is ``TopKFilter``'s to say; here lies what comes with them. A winner's rows
are written over a loser's, so that memory is k samples per cluster however long the text.
"""

from dataclasses import dataclass

import numpy as np

from consumers.compiled import compiled
from consumers.selection.topk_filter import TopKFilter
from consumers.storage.blocks import DenseBatch, Members
from streams.arrays import F32, I32, I64, U32, U64, AnyArray, Bool


@dataclass(frozen=True, slots=True, eq=False)
class TopBlock:
    """A cluster's best samples, best first; n of each.

    rows: float32 [n, 1 + members, position], the cluster's own activity first, dead members zero.
    The other columns are those of ``streams.records.hits.Hits``.
    """

    score: F32
    sample_high: U64
    sample_low: U64
    peak: I32
    partition: I32
    sequence: I64
    row: I32
    rows: F32


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    """Maxima above zero: table is the cluster, row the sample's number in the batch."""

    table: U32
    score: F32
    sample_high: U64
    sample_low: U64
    row: I64


class TopBlocks:
    """Per cluster the best hit of each of the k best samples, in the order of hits.

    The order is that of ``streams.records.hits.rank``, so batches may come in any order and twice.
    A cluster's activity of zero or less is no hit. Changed in place.
    """

    def __init__(self, members: Members, k: int, positions: int) -> None:
        clusters = len(members.first) - 1
        self._members, self._k = members, k
        self._topk_filter = TopKFilter(clusters, k)
        # Memory is taken as slots are, not here.
        self._place = np.empty((clusters, k, 4), np.int64)
        self._first = (members.first + np.arange(clusters + 1)) * k
        self._rows = np.empty((int(self._first[-1]), positions), np.float32)

    def add(self, batch: DenseBatch) -> None:
        """Take a batch into account: one pass over the clusters' activity, then the winners."""
        clusters, samples, _ = batch.clusters.shape
        maxima = np.empty((clusters, samples), np.float32)
        _maxima(batch.clusters, maxima)
        table, row = np.nonzero(maxima > 0)
        hits = _Hits(
            table.astype(np.uint32),
            maxima[table, row],
            batch.sample_high[row],
            batch.sample_low[row],
            row,
        )
        slots = self._topk_filter.see(hits)
        some = np.flatnonzero(slots != -1)
        _write(
            slots[some],
            hits.table[some],
            hits.score[some],
            hits.row[some],
            (batch.partition, batch.sequence),
            (batch.clusters, batch.components, batch.alive),
            (self._members.first, self._members.component),
            (self._first, self._place, self._rows),
        )

    @property
    def inserts(self) -> int:
        """How often a slot was taken so far."""
        return self._topk_filter.inserts

    def of(self, cluster: int) -> TopBlock:
        """Return a cluster's best samples, copied out of their slots."""
        score, high, low = self._topk_filter.slots(cluster)
        order = np.lexsort((low, high, -score))
        peak, partition, sequence, row = self._place[cluster, order].T
        rows = self._rows[self._first[cluster] : self._first[cluster + 1]]
        return TopBlock(
            score[order],
            high[order],
            low[order],
            peak.astype(np.int32),
            partition.astype(np.int32),
            sequence,
            row.astype(np.int32),
            rows.reshape(self._k, -1, rows.shape[1])[order],
        )


@compiled
def _maxima(clusters: F32, maxima: AnyArray) -> None:
    """Fill [cluster, sample] with maxima over positions, zero where nothing is positive."""
    # Positive floats sort as their bits do, and a maximum of integers is vectorised.
    bits = clusters.view(np.int32)
    found = maxima.view(np.int32)
    for cluster in range(bits.shape[0]):
        for sample in range(bits.shape[1]):
            row = bits[cluster, sample]
            largest = np.int32(0)
            for position in range(len(row)):
                largest = max(largest, row[position])
            found[cluster, sample] = largest


@compiled
def _write(
    slots: I32,
    table: U32,
    score: F32,
    row: I64,
    batch_place: tuple[int, int],
    batch: tuple[F32, F32, Bool],
    members: tuple[I64, I64],
    into: tuple[I64, AnyArray, AnyArray],
) -> None:
    clusters, components, alive = batch
    first_member, component = members
    first, place, rows = into
    for i in range(len(slots)):
        cluster, sample = table[i], row[i]
        own = clusters[cluster, sample]
        peak = 0
        while own[peak] != score[i]:
            peak += 1
        slot = slots[i]
        if slot < 0:
            slot = -2 - slot
            if not _earlier(place[cluster, slot], peak, batch_place, sample):
                continue
        place[cluster, slot, 0], place[cluster, slot, 3] = peak, sample
        place[cluster, slot, 1], place[cluster, slot, 2] = batch_place
        begin, end = first_member[cluster], first_member[cluster + 1]
        at = first[cluster] + slot * (1 + end - begin)
        rows[at] = own
        for j in range(begin, end):
            if alive[component[j]]:
                rows[at + 1 + j - begin] = components[component[j], sample]
            else:
                rows[at + 1 + j - begin] = 0


@compiled
def _earlier(known: I64, peak: int, batch_place: tuple[int, int], sample: int) -> bool:
    """Return whether a hit of equal score and sample comes before the known one."""
    partition, sequence = batch_place
    if peak != known[0]:
        return bool(peak < known[0])
    if partition != known[1]:
        return bool(partition < known[1])
    if sequence != known[2]:
        return bool(sequence < known[2])
    return bool(sample < known[3])
