"""Plan of a run: its clusters in order, their shards and buckets, and the layout of their state.

Workers, oracle and snapshots all derive the same plan from the same record. Clusters are numbered
through all clusterings; a shard is a range of buckets, a bucket a range of clusters. What a cluster
accumulates follows from the statistics that the record names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from consumers.plan_checks import check_run
from consumers.rankings.ranking import Ranking
from consumers.rankings.registry import RANKINGS
from consumers.rankings.tables import RankingTables, ranking_tables
from consumers.run_clusters import ClusteringPlan, RunClusters, run_clusters
from consumers.statistics.accumulators import Accumulator
from consumers.statistics.layout import (
    Layout,
    cluster_bytes,
    feature_bytes,
    make_layout,
    run_bytes,
    text_bytes,
    widths_of,
)
from consumers.statistics.registry import STATISTICS, statistics_of
from consumers.statistics.statistic import Statistic, name_of
from streams.arrays import F64, I64, AnyArray
from streams.errors import RunError
from streams.records.run_identity import run_id
from streams.records.runs import RunRecord
from streams.snapshots.tables import TABLES, TableForm

HIT_BYTES = 64
ENTRY_BYTES = 8
MOST_TABLES = 2**32


@dataclass(frozen=True, slots=True, eq=False)
class Plan(RunClusters):
    """See the module, and ``RunClusters``. All arrays are int64.

    statistics, rankings: those of the run. table_k: hits in each table of a cluster; table t of
    cluster c has number c * len(table_k) + t. bucket_first [bucket + 1]: clusters of each bucket.
    shard_first [shard + 1]: buckets of each shard. owned_first [bucket + 1]: components whose
    firings the bucket counts. layout: where the entries of each accumulator lie.
    """

    id: str
    statistics: tuple[Statistic, ...]
    rankings: tuple[RankingTables, ...]
    table_k: I64
    bucket_first: I64
    shard_first: I64
    owned_first: I64
    layout: Layout

    @property
    def tables(self) -> int:
        """Tables of hits per cluster, those of all rankings."""
        return len(self.table_k)

    @property
    def forms(self) -> dict[str, TableForm]:
        """The tables of the run's snapshots by name."""
        own = {form.name: form for each in self.statistics for form in each.tables}
        known = {form.name for each in STATISTICS for form in each.tables}
        every = {name: form for name, form in TABLES.items() if name not in known or name in own}
        return {**every, **own}

    def buckets_of(self, shard: int) -> range:
        """Return the numbers of a shard's buckets."""
        return range(int(self.shard_first[shard]), int(self.shard_first[shard + 1]))

    def clusters_of(self, bucket: int) -> range:
        """Return the numbers of a bucket's clusters."""
        return range(int(self.bucket_first[bucket]), int(self.bucket_first[bucket + 1]))

    def counters_of(self, bucket: int) -> int:
        """Return how many sums a bucket has."""
        return int(self.layout.sum_first[bucket + 1] - self.layout.sum_first[bucket])

    def moments_of(self, bucket: int) -> int:
        """Return how many moments a bucket has."""
        return int(self.layout.moments_first[bucket + 1] - self.layout.moments_first[bucket])


def make_plan(
    run: RunRecord,
    known: Sequence[Statistic] = STATISTICS,
    rankings: Sequence[Ranking] = RANKINGS,
) -> Plan:
    """Return the plan of a run. known, rankings: those that its record may name.

    Raises RunError if a cluster's state cannot fit one record, or its record holds what none may or
    names a statistic or ranking that is not known here.
    """
    check_run(run, known, rankings)
    clusters = run_clusters(run)
    chosen = statistics_of(run, known)
    ranked = ranking_tables(run, rankings)
    named = [
        (f"{name_of(each)}.{accumulator.name}", accumulator)
        for each in chosen
        for accumulator in each.accumulators(clusters)
    ]
    accumulators = [accumulator for _, accumulator in named]
    live_sizes = np.diff(clusters.member_first)
    counted = cluster_bytes(accumulators, clusters.clusters)
    needed = counted + _table_bytes(run, ranked, live_sizes)
    _, _, keyed = widths_of(accumulators, clusters.clusters)
    _refuse_oversized(run, clusters.clusterings, ranked, needed, keyed)
    sizes = needed.astype(np.int64)
    bucket_first, shard_first = _pack(sizes, run)
    owned_first = np.linspace(0, clusters.components, len(bucket_first)).astype(np.int64)
    _refuse_oversized_buckets(run, sizes, bucket_first, owned_first, accumulators)
    return Plan(
        **{field.name: getattr(clusters, field.name) for field in fields(RunClusters)},
        id=run_id(run),
        statistics=chosen,
        rankings=ranked,
        table_k=np.repeat([r.k for r in ranked], [r.stop - r.first for r in ranked]),
        bucket_first=bucket_first,
        shard_first=shard_first,
        owned_first=owned_first,
        layout=make_layout(named, bucket_first, owned_first),
    )


def _table_bytes(run: RunRecord, rankings: tuple[RankingTables, ...], sizes: AnyArray) -> F64:
    """Return the most that each cluster's tables can take: k dense rows per table.

    In float64, since no integer holds what records may ask for; all that is accepted is exact.
    """
    hit = HIT_BYTES + float(ENTRY_BYTES * run.context) * sizes
    return np.asarray(sum(each.most_hits for each in rankings) * hit, np.float64)


def _refuse_oversized(
    run: RunRecord,
    clusterings: tuple[ClusteringPlan, ...],
    rankings: tuple[RankingTables, ...],
    cluster_bytes: AnyArray,
    keyed_bytes: I64,
) -> None:
    if not len(cluster_bytes):
        raise RunError("the run has no cluster: name a dictionary or a cluster file")
    if rankings[-1].stop * len(cluster_bytes) > MOST_TABLES:
        raise RunError(
            f"{rankings[-1].stop:,} tables for each of {len(cluster_bytes):,} clusters: all have a "
            f"number, up to {MOST_TABLES:,}; take fewer rankings or fewer histogram edges"
        )
    worst = int(cluster_bytes.argmax())
    if int(cluster_bytes[worst]) > run.record_bytes:
        hits = sum(each.most_hits for each in rankings)
        where = next(c for c in clusterings if c.first <= worst < c.stop)
        raise RunError(
            f"cluster {where.labels[worst - where.first]!r} of {where.name} can take "
            f"{int(cluster_bytes[worst]):,} bytes of state ({hits:,} "
            f"examples x {run.context} positions x its members, counters, and "
            f"{int(keyed_bytes[worst]):,} for sums by key), one record holds {run.record_bytes:,}: "
            "lower k or the budgets of statistics, split the cluster or raise record_bytes"
        )


def _refuse_oversized_buckets(
    run: RunRecord,
    cluster_bytes: I64,
    bucket_first: I64,
    owned_first: I64,
    accumulators: Sequence[Accumulator],
) -> None:
    """Raise RunError if a bucket cannot fit one record with all that is beside its clusters."""
    clusters = np.diff(np.r_[0, np.cumsum(cluster_bytes)][bucket_first])
    components = feature_bytes(accumulators) * np.diff(owned_first)
    components[0] += run_bytes(accumulators)
    texts = text_bytes(accumulators)
    worst = int((clusters + components).argmax())
    if int(clusters[worst] + components[worst]) + texts > run.record_bytes:
        raise RunError(
            f"bucket {worst} can take {int(clusters[worst]):,} bytes for its clusters, "
            f"{int(components[worst]):,} for the components that it counts and {texts:,} for the "
            f"texts of keys, one record holds {run.record_bytes:,}: lower bucket_bytes or the "
            "budgets of statistics, raise record_bytes or take more shards"
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
