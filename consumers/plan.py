"""Plan of a run: its clusters in order, their shards and buckets, and addresses of counters.

Workers, oracle and snapshots all derive the same plan from the same record. Clusters are numbered
through all clusterings; a shard is a range of buckets, a bucket a range of clusters. Every bucket
owns a block of counters; ``at_*`` arrays give the first global address of a cluster's or
component's counters, and ``counter_first`` where a bucket's block begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from consumers.plan_checks import check_run
from streams.arrays import F32, F64, I8, I64, AnyArray, Bool
from streams.bounds import PAIRS_LIMIT
from streams.errors import RunError
from streams.records.run_identity import run_id
from streams.records.runs import Clustering, RunRecord, Source

HIT_BYTES = 64
ENTRY_BYTES = 8
COUNTER_BYTES = 8
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
class Plan:
    """See the module. All arrays are int64 unless said.

    member_first [cluster + 1] and members: the live members of each cluster as global component
    numbers (a source's components begin at component_first[source]). listed_first and listed: the
    same with dropped ones. threshold [component], float32. sign [component], int8: 1, -1, or 0 for
    the absolute value.
    bucket_first [bucket + 1]: clusters of each bucket. shard_first [shard + 1]: buckets of each
    shard.
    owned_first [bucket + 1]: components whose firings the bucket counts.
    at_pairs and at_coactivation are -1 where a cluster has no such counters.
    """

    run: RunRecord
    id: str
    clusterings: tuple[ClusteringPlan, ...]
    component_first: I64
    threshold: F32
    sign: I8
    member_first: I64
    members: I64
    listed_first: I64
    listed: I64
    bucket_first: I64
    shard_first: I64
    owned_first: I64
    counter_first: I64
    at_tokens: I64
    at_rows: I64
    at_bins: I64
    at_coactivation: I64
    at_pairs: I64
    at_component: I64

    @property
    def clusters(self) -> int:
        """The number of clusters of the run."""
        return len(self.member_first) - 1

    @property
    def components(self) -> int:
        """The number of components of all sources."""
        return int(self.component_first[-1])

    @property
    def bins(self) -> int:
        """Histogram bins per cluster: one below the first edge, one from each edge on."""
        return len(self.run.edges) + 1

    @property
    def criteria(self) -> int:
        """Tables per cluster."""
        return len(self.run.criteria)

    def buckets_of(self, shard: int) -> range:
        """Return the numbers of a shard's buckets."""
        return range(int(self.shard_first[shard]), int(self.shard_first[shard + 1]))

    def clusters_of(self, bucket: int) -> range:
        """Return the numbers of a bucket's clusters."""
        return range(int(self.bucket_first[bucket]), int(self.bucket_first[bucket + 1]))

    def counters_of(self, bucket: int) -> int:
        """Return how many counters a bucket has."""
        return int(self.counter_first[bucket + 1] - self.counter_first[bucket])

    def component_label(self, component: int) -> str:
        """Return the label ``source:index`` of a global component number."""
        source = int(np.searchsorted(self.component_first, component, side="right")) - 1
        return f"{self.run.sources[source].name}:{component - int(self.component_first[source])}"


def make_plan(run: RunRecord) -> Plan:
    """Return the plan of a run.

    Raises RunError if a cluster's state cannot fit one record, or its record holds what none may or
    names a statistic or ranking that is not known here.
    """
    check_run(run)
    component_first = np.cumsum([0, *(s.components for s in run.sources)])
    clusterings = tuple(_clusterings(run))
    sizes, listed = _members(run, component_first)
    listed_first = np.cumsum([0, *sizes])
    live = ~_dropped(run, component_first)[listed]
    member_first = np.r_[0, np.cumsum(live)][listed_first]
    widths = _coactivation_widths(clusterings)
    live_sizes = np.diff(member_first)
    pairs = _pair_counts(live_sizes)
    counters = 2 + len(run.edges) + 1 + widths + pairs
    needed = COUNTER_BYTES * (counters + 2) + _table_bytes(run, live_sizes)
    _refuse_oversized(run, clusterings, needed)
    cluster_bytes = needed.astype(np.int64)
    bucket_first, shard_first = _pack(cluster_bytes, run)
    owned_first = np.linspace(0, component_first[-1], len(bucket_first)).astype(np.int64)
    _refuse_oversized_buckets(run, cluster_bytes, bucket_first, owned_first)
    layout = _addresses(run, bucket_first, owned_first, widths, pairs)
    threshold = [np.full(s.components, s.threshold, np.float32) for s in run.sources]
    sign = [np.full(s.components, SIGNS[s.sign], np.int8) for s in run.sources]
    return Plan(
        run=run,
        id=run_id(run),
        clusterings=clusterings,
        component_first=component_first,
        threshold=np.concatenate([np.zeros(0, np.float32), *threshold]),
        sign=np.concatenate([np.zeros(0, np.int8), *sign]),
        member_first=member_first,
        members=listed[live],
        listed_first=listed_first,
        listed=listed,
        bucket_first=bucket_first,
        shard_first=shard_first,
        owned_first=owned_first,
        **layout,
    )


def activity_of(plan: Plan, component: AnyArray, value: F32) -> tuple[F32, Bool]:
    """Return the activity of signed values of components, and where it makes them fire."""
    sign = plan.sign[component]
    activity = np.where(sign == 0, np.abs(value), value * sign).astype(np.float32)
    return activity, activity > plan.threshold[component]


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


def _coactivation_widths(clusterings: tuple[ClusteringPlan, ...]) -> I64:
    """Return per cluster how many co-activation counters it has: one per cluster beside it."""
    widths = [
        np.full(c.stop - c.first, c.stop - c.first if c.coactivation else 0, np.int64)
        for c in clusterings
    ]
    return np.concatenate([np.zeros(0, np.int64), *widths])


def _pair_counts(sizes: AnyArray) -> I64:
    """Return per cluster how many member pairs (a <= b) are counted; none for clusters of one,
    and none beyond PAIRS_LIMIT pairs, which the snapshot then says."""
    pairs = sizes * (sizes + 1) // 2
    return np.where((sizes > 1) & (pairs <= PAIRS_LIMIT), pairs, 0)


def _table_bytes(run: RunRecord, sizes: AnyArray) -> F64:
    """Return the most that each cluster's tables can take: k dense rows per criterion.

    In float64, since no integer holds what records may ask for; all that is accepted is exact.
    """
    hit = HIT_BYTES + float(ENTRY_BYTES * run.context) * sizes
    return np.asarray(len(run.criteria) * run.k * hit, np.float64)


def _refuse_oversized(
    run: RunRecord, clusterings: tuple[ClusteringPlan, ...], cluster_bytes: AnyArray
) -> None:
    if not len(cluster_bytes):
        raise RunError("the run has no cluster: name a dictionary or a cluster file")
    worst = int(cluster_bytes.argmax())
    if int(cluster_bytes[worst]) > run.record_bytes:
        where = next(c for c in clusterings if c.first <= worst < c.stop)
        raise RunError(
            f"cluster {where.labels[worst - where.first]!r} of {where.name} can take "
            f"{int(cluster_bytes[worst]):,} bytes of state ({len(run.criteria)} criteria x "
            f"k={run.k} x {run.context} positions x its members, and counters), one record holds "
            f"{run.record_bytes:,}: lower k, split the cluster or raise record_bytes"
        )


def _refuse_oversized_buckets(
    run: RunRecord, cluster_bytes: I64, bucket_first: I64, owned_first: I64
) -> None:
    """Raise RunError if a bucket with the components that it counts cannot fit one record."""
    clusters = np.diff(np.r_[0, np.cumsum(cluster_bytes)][bucket_first])
    components = COUNTER_BYTES * np.diff(owned_first)
    worst = int((clusters + components).argmax())
    if int(clusters[worst] + components[worst]) > run.record_bytes:
        raise RunError(
            f"bucket {worst} can take {int(clusters[worst]):,} bytes for its clusters and "
            f"{int(components[worst]):,} for the components that it counts, one record holds "
            f"{run.record_bytes:,}: lower bucket_bytes, raise record_bytes or take more shards"
        )


def _pack(cluster_bytes: I64, run: RunRecord) -> tuple[I64, I64]:
    """Return bucket and shard bounds: shards of about equal bytes, buckets up to bucket_bytes."""
    total = np.r_[0, np.cumsum(cluster_bytes)]
    goals = total[-1] * np.arange(1, run.shards) / run.shards
    shard_clusters = np.r_[0, np.searchsorted(total, goals), len(cluster_bytes)]
    bucket_first, shard_first = [0], [0]
    for first, stop in pairwise(shard_clusters):
        at = int(first)
        while True:
            room = int(np.searchsorted(total, total[at] + run.bucket_bytes, side="right")) - 1
            at = min(int(stop), max(room, at + 1))
            bucket_first.append(at)
            if at >= stop:
                break
        shard_first.append(len(bucket_first) - 1)
    return np.asarray(bucket_first), np.asarray(shard_first)


def _addresses(
    run: RunRecord, bucket_first: I64, owned_first: I64, widths: I64, pairs: I64
) -> dict[str, I64]:
    """Return the address arrays; a bucket's block holds, cluster by cluster, tokens, rows, bins,
    co-activation and pairs, and then the components it counts."""
    bins = len(run.edges) + 1
    sizes = 2 + bins + widths + pairs
    before = np.r_[0, np.cumsum(sizes)]
    counter_first = before[bucket_first] + owned_first
    bucket_of = np.repeat(np.arange(len(bucket_first) - 1), np.diff(bucket_first))
    start = before[:-1] + owned_first[bucket_of]
    owner = np.repeat(np.arange(len(owned_first) - 1), np.diff(owned_first))
    after_clusters = before[bucket_first[1:]] + owned_first[:-1]
    components = np.arange(owned_first[-1])
    return {
        "counter_first": counter_first,
        "at_tokens": start,
        "at_rows": start + 1,
        "at_bins": start + 2,
        "at_coactivation": np.where(widths > 0, start + 2 + bins, -1),
        "at_pairs": np.where(pairs > 0, start + 2 + bins + widths, -1),
        "at_component": after_clusters[owner] + components - owned_first[owner],
    }
