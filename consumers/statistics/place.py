"""Place: the first and the last row of the corpus in which a cluster is active, in its order.

Rows stand in the corpus by sequence, partition and row: that is how producers deal them out.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.extremes import extremes, extremes_added, extremes_held
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.bounds import MAX_BATCH_TOKENS
from streams.errors import OverflowingSumError
from streams.records.corpus import TokenBatch
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

FORM = TableForm(
    "firing_places",
    "First and last row of the corpus, in its order (sequence, partition, row), in which a cluster "
    "is active; clusters that never are are left out.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("first_partition", pa.int32(), "partition of the first such row"),
        Column("first_sequence", pa.int64(), "its batch", "batches of the partition before it"),
        Column("first_row", pa.int32(), "its row there"),
        Column("last_partition", pa.int32(), "partition of the last such row"),
        Column("last_sequence", pa.int64(), "its batch", "batches of the partition before it"),
        Column("last_row", pa.int32(), "its row there"),
    ),
)
_ROWS = MAX_BATCH_TOKENS
_MOST_BATCHES = 2**63 // _ROWS


class Place:
    """See the module. A cluster has the extremes of its rows' numbers in the corpus."""

    names = ("place@1",)
    parameters: Mapping[str, Parameter] = {}
    tables = (FORM,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return the extremes; the number of a row is batch * _ROWS + row."""
        del clusters
        return (extremes("rows"),)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return first and last row of each cluster; raises OverflowingSumError beyond 64 bits."""
        del at
        begin, row = activity.rows.begin, activity.rows.row
        cluster = np.flatnonzero(np.diff(begin))
        places = row[begin[cluster]], row[begin[cluster + 1] - 1]
        first, last = (rows.astype(np.int64) for rows in places)
        return _added(activity.clusters, activity.batch, cluster, first, last)

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device.place import first_and_last

        del at
        return _added(activity.clusters, activity.batch, *first_and_last(activity))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the places of clusters that were active."""
        cluster, *both = extremes_held(view.keyed("rows"))
        columns = {"cluster": cluster}
        for which, number in zip(("first", "last"), both, strict=True):
            batch, row = np.divmod(number, _ROWS)
            sequence, partition = np.divmod(batch, view.clusters.run.partitions)
            columns |= {
                f"{which}_partition": partition,
                f"{which}_sequence": sequence,
                f"{which}_row": row,
            }
        return {FORM.name: FORM.table(columns)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        del clusters
        return _Recount()


def _added(
    clusters: RunClusters, batch: TokenBatch, cluster: I64, first: I64, last: I64
) -> Contributions:
    number = batch.sequence * clusters.run.partitions + batch.partition
    if number >= _MOST_BATCHES:
        raise OverflowingSumError(
            f"batch {batch.partition}/{batch.sequence} is beyond what place@1 can number: "
            "start a new run without it"
        )
    base = number * _ROWS
    return Contributions(keyed={"rows": extremes_added(cluster, base + first, base + last)})


class _Recount:
    def __init__(self) -> None:
        self._found: dict[int, list[tuple[int, int, int]]] = {}

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        for row, activity in enumerate(cluster.activity):
            if activity.max() > -np.inf:
                place = batch.batch.sequence, batch.batch.partition, row
                self._found.setdefault(cluster.number, []).append(place)

    def batch(self, batch: PlainBatch) -> None:
        del batch

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        rows = []
        for cluster, places in sorted(self._found.items()):
            first, last = min(places), max(places)
            rows.append(
                {
                    "cluster": cluster,
                    "first_partition": first[1],
                    "first_sequence": first[0],
                    "first_row": first[2],
                    "last_partition": last[1],
                    "last_sequence": last[0],
                    "last_row": last[2],
                }
            )
        return {FORM.name: rows}
