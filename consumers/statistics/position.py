"""Activation by position: at how many tokens, and how strongly, a cluster is active along a row."""

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
from consumers.statistics.counter_merge import Counts
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import F32, I32, I64, AnyArray, Bool
from streams.bounds import MAX_CONTEXT
from streams.records.measures import parameter
from streams.records.runs import RunRecord
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "position@1"
_BIN = (
    Column("first", pa.int32(), "first position of the bin; a row begins at 0", "position"),
    Column("stop", pa.int32(), "the position behind its last", "position"),
)

ACTIVATION = TableForm(
    "activation_by_position",
    "Where in a row clusters are active, and how strongly; zeros are left out.",
    ("cluster", "first"),
    (
        Column("cluster", pa.int32(), "cluster"),
        *_BIN,
        Column("firing_tokens", pa.int64(), "valid tokens at which it is active", "tokens"),
        Column(
            "activation_sum",
            pa.int64(),
            "activation summed where it is active",
            "2^-sum_bits of activation",
            "with error",
            "each token's activation is rounded to the unit before it is added",
        ),
    ),
)

TOKENS = TableForm(
    "tokens_by_position",
    "How many tokens the run has along a row.",
    ("first",),
    (*_BIN, Column("tokens", pa.int64(), "valid tokens", "tokens")),
)


class Position:
    """See the module. Parameter ``bins``: how many bins of equal width a row has at most."""

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {"bins": Parameter(32, 1, MAX_CONTEXT)}
    tables = (ACTIVATION, TOKENS)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return per bin tokens and a fixed-point sum of each cluster, and tokens of the run."""
        bins = len(_bins(clusters.run))
        return (Sum("active", 2 * bins, large=True), Sum("tokens", bins, per="run"))

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what the tokens of a batch add; sums fit where those over all positions do."""
        run, tokens = activity.clusters.run, activity.tokens
        width, count = _width(run), 2 * len(_bins(run))
        size = min(2 * len(tokens.token), count * int(np.count_nonzero(np.diff(tokens.first))))
        to, value = np.empty(size, np.int64), np.empty(size, np.int64)
        found = _along_rows(
            tokens.first,
            tokens.token,
            tokens.activity,
            activity.valid.shape[1],
            width,
            2.0**run.sum_bits,
            at["active"],
            np.zeros(count, np.int64),
            to,
            value,
        )
        of_run = _valid_tokens(activity.valid, width, at["tokens"])
        return Contributions(((to[:found], value[:found]), of_run))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device.position import along_rows

        width, bins = _width(activity.clusters.run), len(_bins(activity.clusters.run))
        of_run = _valid_tokens(activity.valid, width, at["tokens"])
        return Contributions((along_rows(activity, at["active"], width, bins), of_run))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the bins that are not empty."""
        bins = np.array(_bins(view.clusters.run))
        sums = view.sums("active").reshape(-1, len(bins), 2)
        cluster, which = np.nonzero(sums[:, :, 0])
        active = {
            "cluster": cluster + view.numbers.start,
            "first": bins[which, 0],
            "stop": bins[which, 1],
            "firing_tokens": sums[cluster, which, 0],
            "activation_sum": sums[cluster, which, 1],
        }
        totals = TOKENS.schema.empty_table()
        if view.owns_run:
            tokens = view.sums("tokens")[0]
            totals = TOKENS.table({"first": bins[:, 0], "stop": bins[:, 1], "tokens": tokens})
        return {ACTIVATION.name: ACTIVATION.table(active), TOKENS.name: totals}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters.run)


def _width(run: RunRecord) -> int:
    return -(-run.context // int(parameter(run.statistics, NAME, "bins")))


def _bins(run: RunRecord) -> list[tuple[int, int]]:
    """Return the first position of each bin and the one behind its last."""
    width = _width(run)
    return [(at, min(at + width, run.context)) for at in range(0, run.context, width)]


def _valid_tokens(valid: Bool, width: int, at: I64) -> Counts:
    """Return what a batch adds to the tokens that the run has in each bin, from ``at[0]`` on."""
    counts = np.add.reduceat(valid.sum(axis=0), np.arange(0, valid.shape[1], width))
    some = np.flatnonzero(counts)
    return at[0] + some, counts[some].astype(np.int64)


@compiled
def _along_rows(
    first: I64,
    token: I32,
    activity: F32,
    positions: int,
    width: int,
    unit: float,
    at: I64,
    sums: AnyArray,
    to: AnyArray,
    value: AnyArray,
) -> int:
    n = 0
    for cluster in range(len(first) - 1):
        for entry in range(first[cluster], first[cluster + 1]):
            bin_ = 2 * ((token[entry] % positions) // width)
            sums[bin_] += 1
            sums[bin_ + 1] += np.int64(np.rint(np.float64(activity[entry]) * unit))
        if first[cluster] < first[cluster + 1]:
            for bin_ in range(len(sums)):
                if sums[bin_]:
                    to[n], value[n] = at[cluster] + bin_, sums[bin_]
                    sums[bin_] = 0
                    n += 1
    return n


class _Recount:
    def __init__(self, run: RunRecord) -> None:
        self._run = run
        self._active: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._tokens: dict[int, int] = defaultdict(int)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        for position, column in enumerate(cluster.activity.T):
            values = column[column > -np.inf].tolist()
            self._active[(cluster.number, position)].extend(values)

    def batch(self, batch: PlainBatch) -> None:
        for position, column in enumerate(batch.valid.T):
            self._tokens[position] += int(column.sum())

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        bins, unit = _bins(self._run), 2**self._run.sum_bits
        active = []
        for cluster in sorted({cluster for cluster, _ in self._active}):
            for first, stop in bins:
                values = [v for p in range(first, stop) for v in self._active[(cluster, p)]]
                if values:
                    active.append(
                        {
                            "cluster": cluster,
                            "first": first,
                            "stop": stop,
                            "firing_tokens": len(values),
                            "activation_sum": sum(round(v * unit) for v in values),
                        }
                    )
        totals = [
            {
                "first": first,
                "stop": stop,
                "tokens": sum(self._tokens[p] for p in range(first, stop)),
            }
            for first, stop in bins
        ]
        return {ACTIVATION.name: active, TOKENS.name: totals}
