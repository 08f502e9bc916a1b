"""Clusters of a run: their numbers, live members, and the sign and threshold of each component.

Clusters are numbered through all clusterings, components through all sources.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streams.arrays import F32, I8, I64, AnyArray, Bool
from streams.records.runs import Clustering, RunRecord, Source

SIGNS = {"value": 1, "positive": 1, "negative": -1, "absolute": 0}


@dataclass(frozen=True, slots=True)
class ClusteringPlan:
    """A clustering's place among all clusters: numbers first to stop - 1."""

    name: str
    iteration: int
    first: int
    stop: int
    coactivation: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunClusters:
    """See the module. All arrays are int64 unless said.

    member_first [cluster + 1] and members: the live members of each cluster as global component
    numbers (a source's components begin at component_first[source]). listed_first and listed: the
    same with dropped ones. threshold [component], float32. sign [component], int8: 1, -1, or 0 for
    the absolute value.
    """

    run: RunRecord
    clusterings: tuple[ClusteringPlan, ...]
    component_first: I64
    threshold: F32
    sign: I8
    member_first: I64
    members: I64
    listed_first: I64
    listed: I64

    @property
    def clusters(self) -> int:
        """The number of clusters of the run."""
        return len(self.member_first) - 1

    @property
    def components(self) -> int:
        """The number of components of all sources."""
        return int(self.component_first[-1])

    def component_label(self, component: int) -> str:
        """Return the label ``source:index`` of a global component number."""
        source = int(np.searchsorted(self.component_first, component, side="right")) - 1
        return f"{self.run.sources[source].name}:{component - int(self.component_first[source])}"


def run_clusters(run: RunRecord) -> RunClusters:
    """Return the clusters of a run whose record was checked."""
    component_first = np.cumsum([0, *(s.components for s in run.sources)])
    sizes, listed = _members(run, component_first)
    listed_first = np.cumsum([0, *sizes])
    live = ~_dropped(run, component_first)[listed]
    threshold = [np.full(s.components, s.threshold, np.float32) for s in run.sources]
    sign = [np.full(s.components, SIGNS[s.sign], np.int8) for s in run.sources]
    return RunClusters(
        run=run,
        clusterings=tuple(_clusterings(run)),
        component_first=component_first,
        threshold=np.concatenate([np.zeros(0, np.float32), *threshold]),
        sign=np.concatenate([np.zeros(0, np.int8), *sign]),
        member_first=np.r_[0, np.cumsum(live)][listed_first],
        members=listed[live],
        listed_first=listed_first,
        listed=listed,
    )


def activity_of(clusters: RunClusters, component: AnyArray, value: F32) -> tuple[F32, Bool]:
    """Return the activity of signed values of components, and where it makes them fire."""
    sign = clusters.sign[component]
    activity = np.where(sign == 0, np.abs(value), value * sign).astype(np.float32)
    return activity, activity > clusters.threshold[component]


def singles_name(source: Source) -> str:
    """Return the name of the built-in clustering of a source's single components."""
    return f"features/{source.name}"


def _clusterings(run: RunRecord) -> Iterator[ClusteringPlan]:
    first = 0
    for source in run.sources:
        if source.singles:
            labels = tuple(map(str, range(source.components)))
            stop = first + len(labels)
            name = singles_name(source)
            yield ClusteringPlan(name, 0, first, stop, source.coactivation, labels)
            first = stop
    for given in run.clusterings:
        stop = first + len(given.labels)
        yield ClusteringPlan(
            given.name, given.iteration, first, stop, given.coactivation, given.labels
        )
        first = stop


def _members(run: RunRecord, component_first: I64) -> tuple[list[int], I64]:
    """Return the size of each cluster and the global components, cluster by cluster."""
    sizes: list[int] = []
    members = [np.zeros(0, np.int64)]
    for number, source in enumerate(run.sources):
        if source.singles:
            sizes += [1] * source.components
            members.append(component_first[number] + np.arange(source.components))
    for given in run.clusterings:
        sizes += given.sizes.tolist()
        members.append(_global_members(given, component_first))
    return sizes, np.concatenate(members)


def _global_members(given: Clustering, component_first: I64) -> I64:
    return component_first[given.source] + given.index


def _dropped(run: RunRecord, component_first: I64) -> AnyArray:
    dropped = np.zeros(int(component_first[-1]), dtype=bool)
    for number, source in enumerate(run.sources):
        dropped[component_first[number] + np.asarray(source.dropped, np.int64)] = True
    return dropped
