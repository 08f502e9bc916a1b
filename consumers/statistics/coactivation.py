"""Co-activation: tokens at which two clusters of one clustering are both active."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import sparse

from consumers.run_clusters import ClusteringPlan, RunClusters
from consumers.statistics.accumulators import Accumulator, Sum
from consumers.statistics.activity import ClusterActivity, ClusterTokens
from consumers.statistics.contributions import Contributions
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64, AnyArray
from streams.records import measures
from streams.snapshots.tables import COACTIVATION, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Coactivation:
    """See the module. A cluster has a sum for each cluster of its clustering, if that wants it."""

    names = (measures.COACTIVATION,)
    parameters: Mapping[str, Parameter] = {}
    tables: tuple[TableForm, ...] = (COACTIVATION,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return sums as many as the clustering has clusters, for each of these."""
        widths = [
            np.full(c.stop - c.first, (c.stop - c.first) * c.coactivation, np.int64)
            for c in clusters.clusterings
        ]
        return (Sum("tokens", np.concatenate([np.zeros(0, np.int64), *widths])),)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return the counts of every clustering that wants them."""
        wanted = [c for c in activity.clusters.clusterings if c.coactivation]
        size = activity.valid.size
        return Contributions(tuple(_pairs(c, at["tokens"], activity.tokens, size) for c in wanted))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import coactivation

        return coactivation.contribute(activity, at)

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the pairs a < b that are not 0; a's bucket holds them."""
        none = np.zeros(0, np.int64)
        a, b, tokens = [none], [none], [none]
        clusterings = view.clusters.clusterings
        firsts = [each.first for each in clusterings]
        for cluster, counts in view.each_sum("tokens"):
            first = firsts[int(np.searchsorted(firsts, cluster, side="right")) - 1]
            others = np.arange(first, first + len(counts))
            later = np.flatnonzero((counts > 0) & (others > cluster))
            a.append(np.full(len(later), cluster))
            b.append(others[later])
            tokens.append(counts[later])
        columns = zip(COACTIVATION.schema.names, (a, b, tokens), strict=True)
        table = COACTIVATION.table({name: np.concatenate(parts) for name, parts in columns})
        return {COACTIVATION.name: table}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


def _pairs(
    clustering: ClusteringPlan, at: I64, tokens: ClusterTokens, width: int
) -> tuple[I64, I64]:
    """Return addresses of pairs of clusters that fire at the same of ``width`` tokens, and counts.

    Addresses ascend.
    """
    first = tokens.first[clustering.first : clustering.stop + 1]
    entries = tokens.token[first[0] : first[-1]]
    ones = np.ones(len(entries), np.int32)
    fires = sparse.csr_array((ones, entries, first - first[0]), shape=(len(first) - 1, width))
    product = fires @ fires.T
    product.sort_indices()
    both = product.tocoo()
    other = both.row != both.col
    a, b = both.row[other] + clustering.first, both.col[other]
    return at[a] + b, both.data[other].astype(np.int64)


class _Recount:
    def __init__(self, clusters: RunClusters) -> None:
        self._clusterings = clusters.clusterings
        self._firing: dict[int, AnyArray] = {}
        self._found: dict[tuple[int, int], int] = defaultdict(int)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        self._firing[cluster.number] = cluster.activity > -np.inf

    def batch(self, batch: PlainBatch) -> None:
        del batch
        for clustering in self._clusterings:
            inside = [c for c in self._firing if clustering.first <= c < clustering.stop]
            if not clustering.coactivation or not inside:
                continue
            fires = np.stack([self._firing[c].reshape(-1) for c in inside]).astype(np.float32)
            both = fires @ fires.T
            for i, j in zip(*np.nonzero(both), strict=True):
                if i < j:
                    self._found[(inside[i], inside[j])] += int(both[i, j])
        self._firing = {}

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        pairs = sorted(self._found.items())
        rows = [{"cluster_a": a, "cluster_b": b, "tokens": n} for (a, b), n in pairs]
        return {COACTIVATION.name: rows}
