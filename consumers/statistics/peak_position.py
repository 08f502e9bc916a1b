"""Peak positions: a histogram of where in a row a cluster has its largest activation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Sum
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.histograms import histograms
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.bounds import MAX_CONTEXT
from streams.records.measures import parameter
from streams.records.runs import RunRecord
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

FORM = TableForm(
    "peak_positions",
    "Where in a row clusters have their largest activation; zeros are left out.",
    ("cluster", "first"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("first", pa.int32(), "first position of the bin; a row begins at 0", "position"),
        Column("stop", pa.int32(), "the position behind its last", "position"),
        Column(
            "rows",
            pa.int64(),
            "rows whose largest activation stands there; of equal ones the first counts",
            "rows",
        ),
    ),
)


NAME = "peak_position@1"


class PeakPosition:
    """See the module. A cluster has one sum per bin; all bins are of equal width, but the last.

    Parameter ``bins``: how many there are at most.
    """

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {"bins": Parameter(32, 1, MAX_CONTEXT)}
    tables = (FORM,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return a sum per bin."""
        return (Sum("rows", -(-clusters.run.context // _width(clusters.run))),)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return the bins of the rows' peaks."""
        rows, run = activity.rows, activity.clusters.run
        position = activity.tokens.token[rows.peak] - rows.row * np.int32(activity.valid.shape[1])
        bins = position.astype(np.int64) // _width(run)
        return Contributions((histograms(rows.begin, bins, at["rows"], run.context),))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import peak_position

        return peak_position.contribute(activity, at, _width(activity.clusters.run))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the bins in which some row has its peak."""
        sums, run = view.sums("rows"), view.clusters.run
        cluster, bins = np.nonzero(sums)
        first = bins * _width(run)
        columns = {
            "cluster": cluster + view.numbers.start,
            "first": first,
            "stop": np.minimum(first + _width(run), run.context),
            "rows": sums[cluster, bins],
        }
        return {FORM.name: FORM.table(columns)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


def _width(run: RunRecord) -> int:
    """Return how many positions a bin has."""
    return -(-run.context // int(parameter(run.statistics, NAME, "bins")))


class _Recount:
    def __init__(self, clusters: RunClusters) -> None:
        self._run = clusters.run
        self._peaks: dict[int, list[int]] = defaultdict(list)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        for row in cluster.activity:
            if row.max() > -np.inf:
                self._peaks[cluster.number].append(int(row.argmax()))

    def batch(self, batch: PlainBatch) -> None:
        del batch

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        run, found = self._run, []
        for cluster, peaks in sorted(self._peaks.items()):
            for first in range(0, run.context, _width(run)):
                stop = min(first + _width(run), run.context)
                rows = sum(first <= peak < stop for peak in peaks)
                if rows:
                    found.append({"cluster": cluster, "first": first, "stop": stop, "rows": rows})
        return {FORM.name: found}
