"""Layout of a run's state: where each accumulator's entries lie, bucket by bucket.

Sums and moments have an address space each. A bucket owns a block of either, which holds, cluster
by cluster, the entries of every accumulator in the order of the run's statistics; in the block of
sums the features that the bucket counts follow, and in the first bucket what the run owns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from consumers.statistics.accumulators import (
    MOMENTS_BYTES,
    SUM_BYTES,
    Accumulator,
    Keyed,
    Moments,
    Owner,
    Sum,
)
from streams.arrays import I64


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where an accumulator lies. name: ``statistic.accumulator``.

    at [owner]: the first of its ``width`` [owner] addresses, -1 where it has none.
    """

    name: str
    kind: Literal["sum", "moments"]
    per: Owner
    signed: bool
    width: I64
    at: I64


@dataclass(frozen=True, slots=True, eq=False)
class KeyedPlace:
    """A keyed accumulator, known by its place among them; see ``Keyed``."""

    name: str
    per: Owner
    columns: int
    budget: int
    named: bool
    sketch: int = 0
    maxima: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """See the module. sum_first and moments_first [bucket + 1]: where a bucket's blocks begin.

    bucket_first and owned_first [bucket + 1]: the clusters and the features of each bucket.
    """

    places: tuple[Place, ...]
    keyed: tuple[KeyedPlace, ...]
    sum_first: I64
    moments_first: I64
    bucket_first: I64
    owned_first: I64

    @property
    def has_signed_sums(self) -> bool:
        """Whether the sums of some moments may be negative."""
        return any(place.signed for place in self.places)

    def place(self, name: str) -> Place:
        """Return where ``statistic.accumulator`` lies; raises KeyError if the run has none."""
        for place in self.places:
            if place.name == name:
                return place
        raise KeyError(name)

    def at(self, name: str) -> I64:
        """Return the first address of each owner, -1 where it has none."""
        return self.place(name).at

    def addresses(self, statistic: str) -> dict[str, I64]:
        """Return the same of all accumulators of a statistic, by their own names."""
        split = ((*place.name.partition(".")[::2], place.at) for place in self.places)
        return {name: at for owner, name, at in split if owner == statistic}

    def owned(self, per: Owner, bucket: int) -> slice:
        """Return which clusters or features a bucket has, and whether it has what the run owns."""
        if per == "run":
            return slice(0, int(bucket == 0))
        first = self.bucket_first if per == "cluster" else self.owned_first
        return slice(int(first[bucket]), int(first[bucket + 1]))

    def keyed_number(self, name: str) -> int:
        """Return the number of the keyed accumulator ``statistic.accumulator``."""
        return [each.name for each in self.keyed].index(name)


def widths_of(accumulators: Iterable[Accumulator], clusters: int) -> tuple[I64, I64, I64]:
    """Return per cluster how many sums, moments, and bytes of keyed sums it has."""
    sums, moments, keyed = (np.zeros(clusters, np.int64) for _ in range(3))
    for each in accumulators:
        if isinstance(each, Keyed):
            if each.per == "cluster":
                keyed += each.bytes
        elif isinstance(each, Moments):
            moments += each.width
        elif each.per == "cluster":
            sums += each.width
    return sums, moments, keyed


def cluster_bytes(accumulators: Iterable[Accumulator], clusters: int) -> I64:
    """Return per cluster how many bytes its accumulators take at most."""
    sums, moments, keyed = widths_of(accumulators, clusters)
    return SUM_BYTES * sums + MOMENTS_BYTES * moments + keyed


def feature_bytes(accumulators: Iterable[Accumulator]) -> int:
    """Return how many bytes the accumulators take for each feature that a bucket counts."""
    return SUM_BYTES * sum(
        int(each.width) for each in accumulators if isinstance(each, Sum) and each.per == "feature"
    )


def run_bytes(accumulators: Iterable[Accumulator]) -> int:
    """Return how many bytes the accumulators take that the run owns, in its first bucket."""
    total = 0
    for each in accumulators:
        if isinstance(each, Keyed) and each.per == "run":
            total += each.bytes
        elif isinstance(each, Sum) and each.per == "run":
            total += SUM_BYTES * int(each.width)
    return total


def text_bytes(accumulators: Iterable[Accumulator]) -> int:
    """Return how many bytes the texts behind keys take at most, in each bucket."""
    return sum(each.text_bytes for each in accumulators if isinstance(each, Keyed))


def make_layout(
    named: Iterable[tuple[str, Accumulator]], bucket_first: I64, owned_first: I64
) -> Layout:
    """Return where accumulators lie, given by name in the order of the run's statistics.

    bucket_first [bucket + 1]: clusters of each bucket. owned_first: the features that it counts.
    """
    given = list(named)
    sums = [(name, each) for name, each in given if isinstance(each, Sum)]
    moments = [(name, each) for name, each in given if isinstance(each, Moments)]
    sum_first, sum_places = _sums(sums, bucket_first, owned_first)
    first, widths, starts = _blocks([m for _, m in moments], bucket_first, bucket_first * 0)
    moments_places = [
        Place(name, "moments", "cluster", each.signed, width, at)
        for (name, each), width, at in zip(moments, widths, starts, strict=True)
    ]
    keyed = tuple(
        KeyedPlace(name, each.per, each.columns, each.budget, each.named, each.sketch, each.maxima)
        for name, each in given
        if isinstance(each, Keyed)
    )
    return Layout(
        (*sum_places, *moments_places), keyed, sum_first, first, bucket_first, owned_first
    )


def _sums(
    sums: list[tuple[str, Sum]], bucket_first: I64, owned_first: I64
) -> tuple[I64, list[Place]]:
    of_clusters = [(name, each) for name, each in sums if each.per == "cluster"]
    of_features = [(name, each) for name, each in sums if each.per == "feature"]
    of_run = [(name, each) for name, each in sums if each.per == "run"]
    per_feature = sum(int(each.width) for _, each in of_features)
    before = owned_first * per_feature
    for_run = sum(int(each.width) for _, each in of_run)
    before = before + np.where(np.arange(len(before)) > 0, for_run, 0)
    first, widths, starts = _blocks([each for _, each in of_clusters], bucket_first, before)
    places = [
        Place(name, "sum", "cluster", False, width, at)
        for (name, _), width, at in zip(of_clusters, widths, starts, strict=True)
    ]
    features = np.arange(int(owned_first[-1]))
    owner = np.repeat(np.arange(len(owned_first) - 1), np.diff(owned_first))
    behind = first[1:] - np.diff(before)  # where the clusters of a bucket end
    at = behind[owner] + (features - owned_first[owner]) * per_feature
    for name, each in of_features:
        width = np.full(len(features), each.width, np.int64)
        places.append(Place(name, "sum", "feature", False, width, at))
        at = at + width
    end = int(first[1]) - for_run
    for name, each in of_run:
        width = np.array([each.width], np.int64)
        places.append(Place(name, "sum", "run", False, width, np.array([end], np.int64)))
        end += int(each.width)
    return first, places


def _blocks(
    accumulators: list[Sum] | list[Moments], bucket_first: I64, before: I64
) -> tuple[I64, list[I64], list[I64]]:
    """Return where blocks begin, and of each accumulator the widths and addresses by cluster.

    before [bucket + 1]: how many other entries the buckets before have.
    """
    clusters = int(bucket_first[-1])
    widths = [np.broadcast_to(np.asarray(a.width, np.int64), clusters) for a in accumulators]
    starts = np.r_[0, np.cumsum(np.sum([np.zeros(clusters, np.int64), *widths], axis=0))]
    first = starts[bucket_first] + before
    bucket_of = np.repeat(np.arange(len(bucket_first) - 1), np.diff(bucket_first))
    at = starts[:-1] + before[bucket_of]
    found = []
    for width in widths:
        found.append(np.where(width > 0, at, -1))
        at = at + width
    return first, widths, found
