"""State of some buckets as one statistic sees it when a snapshot is written: its own entries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumers.run_clusters import RunClusters
from consumers.statistics.contributions import KeySums
from consumers.statistics.keys import OTHER, key_of
from consumers.statistics.layout import Layout
from streams.arrays import F32, I64, U64, AnyArray
from streams.records.partials import BucketState


@dataclass(frozen=True, slots=True, eq=False)
class StateView:
    """The accumulators of the statistic ``name`` in buckets that follow one another."""

    clusters: RunClusters
    layout: Layout
    states: Sequence[BucketState]
    name: str

    @property
    def numbers(self) -> range:
        """The clusters of the buckets."""
        return self._range("cluster")

    @property
    def features(self) -> range:
        """The features whose firings the buckets count."""
        return self._range("feature")

    @property
    def owns_run(self) -> bool:
        """Whether what the run owns is in one of these buckets."""
        return self.states[0].bucket == 0

    @property
    def tokens(self) -> int:
        """The valid tokens of the run so far."""
        return self.states[0].tokens

    def of(self, statistic: str) -> "StateView":
        """Return the view of another statistic that the run has, by its name in the layout."""
        return replace(self, name=statistic)

    def sums(self, accumulator: str) -> I64:
        """Return sums [owner, entry] of owners that have as many entries each."""
        place = self.layout.place(f"{self.name}.{accumulator}")
        width = np.arange(int(place.width[0]) if len(place.width) else 0)
        parts = [np.zeros((0, len(width)), np.int64)]
        for state in self.states:
            at = place.at[self.layout.owned(place.per, state.bucket)]
            parts.append(state.counts[(at - self.layout.sum_first[state.bucket])[:, None] + width])
        return np.concatenate(parts)

    def each_sum(self, accumulator: str) -> Iterator[tuple[int, I64]]:
        """Yield cluster and sums [entry] of every cluster that has some."""
        place = self.layout.place(f"{self.name}.{accumulator}")
        for state in self.states:
            owned = self.layout.owned("cluster", state.bucket)
            for cluster in owned.start + np.flatnonzero(place.width[owned]):
                first = int(place.at[cluster] - self.layout.sum_first[state.bucket])
                yield int(cluster), state.counts[first : first + int(place.width[cluster])]

    def moments(self, accumulator: str) -> tuple[I64, F32, F32]:
        """Return sum, minimum and maximum, [cluster, entry] each, of as many entries a cluster."""
        place = self.layout.place(f"{self.name}.{accumulator}")
        at = place.at[self.numbers.start : self.numbers.stop]
        base = self.layout.moments_first[self.states[0].bucket]
        at = (at - base)[:, None] + np.arange(int(place.width[0]))
        sums, low, high = (
            np.concatenate([getattr(state, column) for state in self.states])[at]
            for column in ("sums", "low", "high")
        )
        return sums, low, high

    def keyed(self, accumulator: str) -> KeySums:
        """Return keyed sums by cluster and key; at ``keys.OTHER`` what was not kept, if any."""
        number = self.layout.keyed_number(f"{self.name}.{accumulator}")
        place = self.layout.keyed[number]
        cluster, key = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        value = [np.zeros((0, place.columns), np.int64)]
        for state in self.states:
            first = self.layout.owned(place.per, state.bucket).start
            for part in state.keyed:
                if part.number == number:
                    cluster.append(part.cluster.astype(np.int64) + first)
                    key.append(part.key)
                    value.append(part.value.reshape(-1, place.columns))
        found = KeySums(np.concatenate(cluster), np.concatenate(key), np.concatenate(value))
        if not place.named:
            return found
        named = np.array(sorted(self.names(accumulator)), np.uint64)
        return _of_named(found, named, place.columns - place.maxima)

    def names(self, accumulator: str) -> Mapping[int, str]:
        """Return the texts whose hashes are kept, by key."""
        number = self.layout.keyed_number(f"{self.name}.{accumulator}")
        parts = (part for part in self.states[0].names if part.number == number)
        return {key_of(text): text for part in parts for text in part.texts}

    def _range(self, per: str) -> range:
        first = self.layout.bucket_first if per == "cluster" else self.layout.owned_first
        return range(int(first[self.states[0].bucket]), int(first[self.states[-1].bucket + 1]))


def _of_named(found: KeySums, named: U64, added: int) -> KeySums:
    """Return keyed sums with those of keys that have no name among the others.

    added: how many columns are sums; of the others the largest is kept.
    """
    key = np.where(np.isin(found.key, named), found.key, OTHER)
    order = np.lexsort((key, found.cluster))
    cluster, key, value = found.cluster[order], key[order], found.value[order]
    begins: AnyArray = np.flatnonzero(
        np.r_[True, (cluster[1:] != cluster[:-1]) | (key[1:] != key[:-1])][: len(key)]
    )
    if not len(begins):
        return found
    sums = np.add.reduceat(value[:, :added], begins, axis=0)
    maxima = np.maximum.reduceat(value[:, added:], begins, axis=0)
    return KeySums(cluster[begins], key[begins], np.concatenate([sums, maxima], axis=1))
