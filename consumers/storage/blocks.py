"""All activations of each cluster, kept as blocks that can be read without another copy.

The producer's layout decides what storing costs. Feature-major, [component, sample, position],
everything a cluster needs of a batch is whole rows, and keeping it is one copy of them.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from consumers.compiled import compiled
from streams.arrays import F32, I64, U64, AnyArray, Bool

CHUNK = 2**26
"""Numbers in a chunk of storage, 256 MiB of them."""
# Numbers up to which a copy is over before torch's other threads have woken up.
_SMALL = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Cluster c consists of component[first[c] : first[c + 1]]; its member 0 is the first."""

    first: I64
    component: I64


@dataclass(frozen=True, slots=True, eq=False)
class DenseBatch:
    """One batch, feature-major and C-contiguous.

    clusters: each cluster's activity [cluster, sample, position]. components: [component, sample,
    position]. alive [component]: dead ones are not kept. sample_high, sample_low [sample]: the
    halves of the 128-bit sample keys. partition, sequence: the batch's place.
    """

    clusters: F32
    components: F32
    alive: Bool
    sample_high: U64
    sample_low: U64
    partition: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What one batch said of one cluster: views into storage, each contiguous.

    batch: its number in the order of appending. own: the cluster's activity [sample, position].
    member [row], rows [row, sample, position]: the members that are alive, ascending.
    """

    batch: int
    own: F32
    member: I64
    rows: F32


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """cluster [kept]: those that are not zero everywhere. first [kept + 1]: their rows."""

    sample_high: U64
    sample_low: U64
    cluster: I64
    first: I64
    member: I64
    own: F32
    rows: F32


@dataclass(slots=True, eq=False)
class Blocks:
    """Keeps all of every cluster that is active in a batch; grows by chunks, never copies twice.

    chunk: numbers of storage taken at a time; a larger batch gets a chunk of its own size.
    """

    members: Members
    chunk: int = CHUNK
    _batches: list[_Batch] = field(default_factory=list)
    _chunks: list[F32] = field(default_factory=list)
    _chunk: int = 0
    _used: int = 0

    def append(self, batch: DenseBatch) -> None:
        """Keep a batch: one pass over the clusters' activity, one copy of what is kept."""
        begin, component = self.members.first, self.members.component
        active = _active(batch.clusters)
        cluster = np.flatnonzero(active)
        kept = np.flatnonzero(np.repeat(active, np.diff(begin)) & batch.alive[component])
        bounds: I64 = np.r_[begin[cluster], len(component)]
        first = np.searchsorted(kept, bounds)
        member = kept - np.repeat(begin[cluster], np.diff(first))
        own = self._copied(batch.clusters, cluster)
        rows = self._copied(batch.components, component[kept])
        keys = batch.sample_high, batch.sample_low
        self._batches.append(_Batch(*keys, cluster, first, member, own, rows))

    def of(self, cluster: int) -> list[Block]:
        """Return a cluster's blocks, one for each batch in which it was active, in order."""
        found = []
        for number, batch in enumerate(self._batches):
            at = int(np.searchsorted(batch.cluster, cluster))
            if at < len(batch.cluster) and batch.cluster[at] == cluster:
                part = slice(batch.first[at], batch.first[at + 1])
                found.append(Block(number, batch.own[at], batch.member[part], batch.rows[part]))
        return found

    def samples(self, batch: int) -> tuple[U64, U64]:
        """Return the halves of the sample keys of a batch, [sample] each."""
        return self._batches[batch].sample_high, self._batches[batch].sample_low

    def clear(self) -> None:
        """Forget all batches and keep the storage for what comes; blocks handed out are void."""
        self._batches.clear()
        self._chunk = self._used = 0

    def _copied(self, values: F32, which: I64) -> F32:
        kept = self._room((len(which), *values.shape[1:]))
        if kept.size < _SMALL:
            np.take(values, which, axis=0, out=kept, mode="clip")
        else:
            torch.index_select(
                torch.from_numpy(values), 0, torch.from_numpy(which), out=torch.from_numpy(kept)
            )
        return kept

    def _room(self, shape: tuple[int, ...]) -> F32:
        """Return the next free storage of this shape."""
        size = int(np.prod(shape))
        while self._chunk < len(self._chunks):
            chunk = self._chunks[self._chunk]
            if self._used + size <= len(chunk):
                self._used += size
                return chunk[self._used - size : self._used].reshape(shape)
            self._chunk, self._used = self._chunk + 1, 0
        self._chunks.append(np.empty(max(self.chunk, size), np.float32))
        return self._room(shape)


@compiled
def _active(clusters: F32) -> AnyArray:
    """Return which clusters of [cluster, sample, position] are not zero everywhere."""
    found = np.zeros(len(clusters), np.bool_)
    for cluster in range(len(clusters)):
        for value in clusters[cluster].flat:
            if value != 0:
                found[cluster] = True
                break
    return found
