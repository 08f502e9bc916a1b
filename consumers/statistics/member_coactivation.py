"""Member co-activation: tokens at which two members of one cluster are both active."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from consumers.compiled import compiled
from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Sum
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import F32, I32, I64, AnyArray
from streams.bounds import PAIRS_LIMIT
from streams.records import measures
from streams.snapshots.tables import MEMBER_COACTIVATION, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

_SILENT = np.float32(-np.inf)


class MemberCoactivation:
    """See the module. A cluster of n members has n * (n + 1) / 2 sums, up to PAIRS_LIMIT."""

    names = (measures.MEMBER_COACTIVATION,)
    parameters: Mapping[str, Parameter] = {}
    tables: tuple[TableForm, ...] = (MEMBER_COACTIVATION,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return a sum per pair of members, a <= b."""
        return (Sum("tokens", pair_counts(clusters)),)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return the counts of every pair."""
        found = _pairs(activity, at["tokens"])
        return Contributions((found,) if len(found[0]) else ())

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import member_coactivation

        return member_coactivation.contribute(activity, at)

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the pairs that are not 0."""
        parts: list[tuple[AnyArray, ...]] = [(np.zeros(0, np.int64),) * 4]
        first = view.clusters.member_first
        for cluster, counts in view.each_sum("tokens"):
            a, b = np.triu_indices(int(first[cluster + 1] - first[cluster]))
            some = np.flatnonzero(counts)
            parts.append((np.full(len(some), cluster), a[some], b[some], counts[some]))
        columns = map(np.concatenate, zip(*parts, strict=True))
        names = MEMBER_COACTIVATION.schema.names
        table = MEMBER_COACTIVATION.table(dict(zip(names, columns, strict=True)))
        return {MEMBER_COACTIVATION.name: table}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        del clusters
        return _Recount()


def pair_counts(clusters: RunClusters) -> I64:
    """Return per cluster how many pairs of members (a <= b) are counted; none for clusters of one,
    and none beyond PAIRS_LIMIT pairs, which the snapshot then says."""
    sizes = np.diff(clusters.member_first)
    pairs = sizes * (sizes + 1) // 2
    return np.where((sizes > 1) & (pairs <= PAIRS_LIMIT), pairs, 0)


def _pairs(activity: ClusterActivity, at: I64) -> tuple[I64, I64]:
    """Return addresses of pairs of members that co-activate, ascending, and their counts."""
    clusters, runs = activity.clusters, activity.runs
    if not (at >= 0).any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sizes = np.diff(clusters.member_first)
    ends = np.r_[0, np.cumsum(np.diff(runs.first)[clusters.members])]
    active = np.diff(ends[clusters.member_first]) > 0
    wanted = np.flatnonzero((at >= 0) & active)
    most = sizes[wanted] * (sizes[wanted] + 1) // 2
    count_at, count = np.empty(most.sum(), np.int64), np.empty(most.sum(), np.int64)
    entries = int(np.diff(ends[clusters.member_first])[wanted].max(initial=0))
    found = _member_pairs(
        wanted,
        at,
        clusters.member_first,
        clusters.members,
        runs.first,
        runs.token,
        runs.activity,
        _SILENT,
        np.full(activity.valid.size, -1, np.int32),
        np.empty(entries, np.int32),
        np.empty(entries, np.int32),
        np.zeros(int(most.max(initial=0)), np.int64),
        count_at,
        count,
    )
    return count_at[:found], count[:found]


@compiled
def _member_pairs(
    wanted: I64,
    at_pairs: I64,
    member_first: I64,
    members: I64,
    run_first: I64,
    run_token: I32,
    run_activity: F32,
    silent: np.float32,
    last: I32,
    before: I32,
    member: I32,
    pairs: AnyArray,
    count_at: AnyArray,
    count: AnyArray,
) -> int:
    n = 0
    for cluster in wanted:
        begin, size = member_first[cluster], member_first[cluster + 1] - member_first[cluster]
        entries = 0
        for b in range(size):
            component = members[begin + b]
            for i in range(run_first[component], run_first[component + 1]):
                if run_activity[i] > silent:
                    # Each token's firing members hang together in a list, the latest first.
                    token = run_token[i]
                    member[entries], before[entries] = b, last[token]
                    last[token] = entries
                    entries += 1
                    other = last[token]
                    while other >= 0:
                        a = member[other]
                        pairs[a * size - a * (a - 1) // 2 + b - a] += 1
                        other = before[other]
        for b in range(size):
            component = members[begin + b]
            for i in range(run_first[component], run_first[component + 1]):
                last[run_token[i]] = -1
        for pair in range(size * (size + 1) // 2):
            if pairs[pair]:
                count_at[n], count[n] = at_pairs[cluster] + pair, pairs[pair]
                pairs[pair] = 0
                n += 1
    return n


class _Recount:
    def __init__(self) -> None:
        self._found: dict[tuple[int, int, int], int] = defaultdict(int)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        members = cluster.members
        if not has_pairs(len(members)):
            return
        for a in range(len(members)):
            for b in range(a, len(members)):
                both = (members[a] > -np.inf) & (members[b] > -np.inf)
                self._found[(cluster.number, a, b)] += int(both.sum())

    def batch(self, batch: PlainBatch) -> None:
        del batch

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        rows = [
            {"cluster": c, "member_a": a, "member_b": b, "tokens": n}
            for (c, a, b), n in sorted(self._found.items())
            if n
        ]
        return {MEMBER_COACTIVATION.name: rows}


def has_pairs(members: int) -> bool:
    """Return whether pairs of so many members are counted, the plain way."""
    return members > 1 and members * (members + 1) // 2 <= PAIRS_LIMIT
