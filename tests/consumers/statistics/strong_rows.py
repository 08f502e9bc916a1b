"""Strong rows: rows in which a cluster's activation reaches a threshold, and the weakest one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Moments, Sum
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions, MomentSums
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.records.measures import parameter
from streams.snapshots.tables import Column, TableForm

FORM = TableForm(
    "strong_rows",
    "Rows in which a cluster's activation reaches the run's threshold; zeros are left out.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("rows", pa.int64(), "rows that reach it", "rows"),
        Column("tokens", pa.int64(), "tokens of these at which it is active", "tokens"),
        Column("weakest", pa.float32(), "smallest of their maxima", "activation"),
    ),
)


class StrongRows:
    """See the module. Parameter ``threshold``: the activation that a row has to reach."""

    names = ("strong_rows@1",)
    parameters: Mapping[str, Parameter] = {"threshold": Parameter(1.0, least=0, most=1e9)}
    tables = (FORM,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return a counter of rows; moments sum the tokens and keep the extremes of the maxima."""
        return (Sum("rows"), Moments("strength"))

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what the batch's rows add."""
        rows = activity.rows
        strong = np.flatnonzero(rows.maximum >= _threshold(activity.clusters))
        cluster, first = np.unique(rows.cluster[strong], return_index=True)
        if not len(cluster):
            return Contributions()
        tokens = np.add.reduceat((rows.stop - rows.first)[strong], first)
        low = np.minimum.reduceat(rows.maximum[strong], first)
        high = np.maximum.reduceat(rows.maximum[strong], first)
        counts = np.diff(np.r_[first, len(strong)])
        return Contributions(
            sums=((at["rows"][cluster], counts),),
            moments=(MomentSums(at["strength"][cluster], tokens, low, high),),
        )

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the clusters that have such rows."""
        rows = view.sums("rows")[:, 0]
        tokens, weakest, _ = (column[:, 0] for column in view.moments("strength"))
        some = np.flatnonzero(rows)
        columns = {
            "cluster": some + view.numbers.start,
            "rows": rows[some],
            "tokens": tokens[some],
            "weakest": weakest[some],
        }
        return {FORM.name: FORM.table(columns)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(_threshold(clusters))


def _threshold(clusters: RunClusters) -> float:
    return float(parameter(clusters.run.statistics, "strong_rows@1", "threshold"))


class _Recount:
    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._found: dict[int, list[tuple[int, float]]] = defaultdict(list)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        for row in cluster.activity:
            if row.max() >= self._threshold:
                strong = int((row > -np.inf).sum()), float(row.max())
                self._found[cluster.number].append(strong)

    def batch(self, batch: PlainBatch) -> None:
        pass

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        return {
            FORM.name: [
                {
                    "cluster": cluster,
                    "rows": len(found),
                    "tokens": sum(tokens for tokens, _ in found),
                    "weakest": min(maximum for _, maximum in found),
                }
                for cluster, found in sorted(self._found.items())
            ]
        }
