"""Row maxima: a histogram of the largest activation that a cluster has in each row."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Sum
from consumers.statistics.activation_loop import bins_of
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.histograms import histograms
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

FORM = TableForm(
    "row_maxima",
    "Histogram of the largest activation in a row; clusters that never are active are left out.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column(
            "histogram",
            pa.list_(pa.int64()),
            "rows per bin of their largest activation, the bins of `activation_histogram`",
            "rows",
        ),
    ),
)


class RowMaximum:
    """See the module. A cluster has one sum per bin of the run's histogram."""

    names = ("row_maximum@1",)
    parameters: Mapping[str, Parameter] = {}
    tables = (FORM,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return a sum per bin."""
        return (Sum("rows", len(clusters.run.edges) + 1),)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return the bins of the rows' maxima."""
        rows, edges = activity.rows, activity.clusters.run.edges
        bins = bins_of(rows.maximum, edges)
        return Contributions((histograms(rows.begin, bins, at["rows"], len(edges) + 1),))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import row_maximum

        return row_maximum.contribute(activity, at)

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the histograms that are not empty."""
        sums = view.sums("rows")
        some = np.flatnonzero(sums.any(axis=1))
        columns = {"cluster": some + view.numbers.start, "histogram": list(sums[some])}
        return {FORM.name: FORM.table(columns)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters.run.edges.tolist())


class _Recount:
    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self._found: dict[int, list[int]] = defaultdict(lambda: [0] * (len(edges) + 1))

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        for row in cluster.activity:
            if row.max() > -np.inf:
                self._found[cluster.number][bisect_right(self._edges, float(row.max()))] += 1

    def batch(self, batch: PlainBatch) -> None:
        del batch

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        found = sorted(self._found.items())
        return {FORM.name: [{"cluster": c, "histogram": counts} for c, counts in found]}
