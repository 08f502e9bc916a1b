"""Distribution: variance, skewness and quantiles of a cluster's activation where it is active.

Squares are summed exactly, in two limbs; skewness and quantiles follow from the histogram, each
with a bound on its error.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

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
from streams.arrays import F32, F64, I64, AnyArray
from streams.errors import OverflowingSumError
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "distribution@1"
LIMB = 40
"""A sum of squares is high * 2**LIMB + low; a batch adds less than 2**LIMB to the low one."""

UPPER_BITS = 19
"""Bits of an activation in units of 2**-sum_bits above the lower 31: its square has 100 then."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS = "half of what the histogram's bins leave open, between the extremes"

FORM = TableForm(
    "activation_distribution",
    "Shape of clusters' activation where they are active; clusters that never are are left out.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column(
            "variance",
            pa.float64(),
            "variance over active tokens, divided by their number",
            "activation^2",
            "with error",
            "each token's activation is rounded to 2^-sum_bits first",
        ),
        Column(
            "skewness",
            pa.float64(),
            "third central moment / variance^1.5, 0 where the variance is 0",
            "1",
            "with error",
            "`skewness_error`",
        ),
        Column("skewness_error", pa.float64(), f"{_BINS}: the true value is that near", "1"),
        Column(
            "quantiles",
            pa.list_(pa.float64()),
            f"activation at the shares {', '.join(map(str, QUANTILES))} of active tokens: "
            "the smallest that so many do not exceed",
            "activation",
            "with error",
            "`quantile_errors`",
        ),
        Column(
            "quantile_errors",
            pa.list_(pa.float64()),
            f"{_BINS}, of each quantile",
            "activation",
        ),
    ),
)


class Distribution:
    """See the module. A cluster has the two limbs of its sum of squares."""

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {}
    tables = (FORM,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return the limbs; counts, sums, extremes and bins are those of the activation."""
        del clusters
        return (Sum("squares", 2, large=True),)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return the sums of squares of a batch; raises OverflowingSumError for too large ones."""
        tokens, bits = activity.tokens, activity.clusters.run.sum_bits
        size = 2 * int(np.count_nonzero(np.diff(tokens.first)))
        to, value = np.empty(size, np.int64), np.empty(size, np.int64)
        found = _squares(tokens.first, tokens.activity, 2.0**bits, at["squares"], to, value)
        if found < 0:
            raise _too_large(tokens.activity.max(initial=0.0), bits)
        some = np.flatnonzero(value[:found])
        return Contributions(((to[some], value[some]),))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit; errors as there."""
        from consumers.statistics.device import distribution

        found = distribution.limbs(activity)
        if found is None:
            most = float(activity.cluster_activity.max())
            raise _too_large(most, activity.clusters.run.sum_bits)
        return Contributions((_limbs(at["squares"], *found),))

    def carried(self, added: Contributions, at: Mapping[str, I64]) -> Contributions:
        """Return sums of several parts of a batch with what the low limbs carry."""
        ((address, value),) = added.sums
        squares = at["squares"]
        cluster = np.searchsorted(squares, address, side="right") - 1
        limbs = np.zeros((2, len(squares)), np.int64)
        limbs[address - squares[cluster], cluster] = value
        high, low = limbs[0] + (limbs[1] >> LIMB), limbs[1] & ((1 << LIMB) - 1)
        return Contributions((_limbs(squares, high, low),))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the clusters that were active."""
        activation, run = view.of("activation"), view.clusters.run
        tokens = activation.sums("tokens")[:, 0]
        some = np.flatnonzero(tokens)
        n, counts = tokens[some], activation.sums("bins")[some]
        total, low, high = (c[some, 0] for c in activation.moments("activation"))
        limbs = view.sums("squares")[some].astype(object)
        scaled = n * (limbs[:, 0] * 2**LIMB + limbs[:, 1]) - total.astype(object) ** 2
        variance = (scaled / (n.astype(object) ** 2 * 4**run.sum_bits)).astype(np.float64)
        mean = total / n / 2.0**run.sum_bits
        floors, tops = _bounds(run.edges, low, high)
        skewness = _skewness(counts, floors, tops, mean, variance, n)
        quantiles = _quantiles(counts, floors, tops, n)
        columns = {
            "cluster": some + view.numbers.start,
            "variance": variance,
            "skewness": skewness[0],
            "skewness_error": skewness[1],
            "quantiles": list(quantiles[0]),
            "quantile_errors": list(quantiles[1]),
        }
        return {FORM.name: FORM.table(columns)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


def _limbs(at: I64, high: I64, low: I64) -> Counts:
    """Return the limbs of every cluster, where they are not 0. at [cluster]: of the high one."""
    value = np.stack([high, low], axis=1).reshape(-1)
    some = np.flatnonzero(value)
    return (np.stack([at, at + 1], axis=1).reshape(-1))[some], value[some]


def _too_large(activation: float, bits: int) -> OverflowingSumError:
    return OverflowingSumError(
        f"the squares of an activation of {activation:g} are too large for units of "
        f"2**-{bits}: start a new run with fewer sum_bits, or without {NAME}"
    )


@compiled
def _squares(first: I64, activity: F32, unit: float, at: I64, to: AnyArray, value: AnyArray) -> int:
    """Sum squares by cluster; return how many limbs there are, -1 where one is too large."""
    n, mask = 0, (np.int64(1) << LIMB) - 1
    for cluster in range(len(first) - 1):
        if first[cluster] == first[cluster + 1]:
            continue
        high, low = np.int64(0), np.int64(0)
        for token in range(first[cluster], first[cluster + 1]):
            fixed = np.int64(np.rint(np.float64(activity[token]) * unit))
            upper, lower = fixed >> 31, fixed & 0x7FFFFFFF
            if upper >= 1 << UPPER_BITS:  # the square would not fit 100 bits
                return -1
            # fixed**2 = upper**2 * 2**62 + 2 * upper * lower * 2**31 + lower**2
            middle = upper * lower
            high += (upper * upper) << (62 - LIMB)
            high += middle >> (LIMB - 32)
            low += (middle & ((np.int64(1) << (LIMB - 32)) - 1)) << 32
            square = lower * lower
            high += square >> LIMB
            low += square & mask
            high += low >> LIMB
            low &= mask
            if high < 0 or high >= np.int64(1) << 62:
                return -1
        to[n], value[n] = at[cluster], high
        to[n + 1], value[n + 1] = at[cluster] + 1, low
        n += 2
    return n


def _bounds(edges: F32, low: F32, high: F32) -> tuple[F64, F64]:
    """Return where each bin begins and ends for clusters of these extremes, [cluster, bin]."""
    lower = np.r_[-np.inf, edges].astype(np.float64)
    upper = np.r_[edges, np.inf].astype(np.float64)
    wide_low, wide_high = low[:, None].astype(np.float64), high[:, None].astype(np.float64)
    return np.maximum(lower, wide_low), np.minimum(upper, wide_high)


def _skewness(
    counts: I64, floors: F64, tops: F64, mean: F64, variance: F64, n: I64
) -> tuple[F64, F64]:
    """Return skewness and its error: the third moment is between those of the bins' ends."""
    least, most = np.zeros(len(n)), np.zeros(len(n))
    for bin_ in range(counts.shape[1]):  # bin after bin, so that sums are rounded in one order
        count = counts[:, bin_]
        held = count > 0
        below = np.where(held, floors[:, bin_] - mean, 0.0)
        above = np.where(held, tops[:, bin_] - mean, 0.0)
        least = least + count * (below * below * below)
        most = most + count * (above * above * above)
    flat = variance <= 0
    scale = np.where(flat, 1.0, variance * np.sqrt(variance)) * n
    return (
        np.where(flat, 0.0, (least + most) / 2 / scale),
        np.where(flat, 0.0, (most - least) / 2 / scale),
    )


def _quantiles(counts: I64, floors: F64, tops: F64, n: I64) -> tuple[F64, F64]:
    """Return quantiles and their errors, [cluster, quantile]."""
    until = np.cumsum(counts, axis=1)
    found, errors = np.empty((len(n), len(QUANTILES))), np.empty((len(n), len(QUANTILES)))
    row = np.arange(len(n))
    for number, share in enumerate(QUANTILES):
        rank = np.maximum(np.ceil(share * n), 1)
        bin_ = (until < rank[:, None]).sum(axis=1)
        floor, top = floors[row, bin_], tops[row, bin_]
        found[:, number], errors[:, number] = (floor + top) / 2, (top - floor) / 2
    return found, errors


class _Recount:
    """Keeps every activation, rounded and not, and works the numbers out one by one."""

    def __init__(self, clusters: RunClusters) -> None:
        self._run = clusters.run
        self._found: dict[int, list[float]] = defaultdict(list)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        active = cluster.activity[cluster.activity > -np.inf]
        self._found[cluster.number].extend(active.tolist())

    def batch(self, batch: PlainBatch) -> None:
        del batch

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        found = sorted(self._found.items())
        return {FORM.name: [self._row(cluster, values) for cluster, values in found]}

    def _row(self, cluster: int, values: list[float]) -> dict[str, Any]:
        n, unit = len(values), 2**self._run.sum_bits
        fixed = [round(value * unit) for value in values]
        scaled = n * sum(f * f for f in fixed) - sum(fixed) ** 2
        variance, mean = scaled / (n * n * unit * unit), float(sum(fixed)) / n / unit
        bins = [
            (max(low, min(values)), min(high, max(values)), [v for v in values if low <= v < high])
            for low, high in pairwise([-math.inf, *self._run.edges.tolist(), math.inf])
        ]
        least = most = 0.0
        for low, high, held in bins:
            if held:
                least += len(held) * ((low - mean) * (low - mean) * (low - mean))
                most += len(held) * ((high - mean) * (high - mean) * (high - mean))
        scale = variance * math.sqrt(variance) * n if variance > 0 else 0.0
        ends = [self._bin_at(bins, math.ceil(share * n)) for share in QUANTILES]
        return {
            "cluster": cluster,
            "variance": variance,
            "skewness": (least + most) / 2 / scale if scale else 0.0,
            "skewness_error": (most - least) / 2 / scale if scale else 0.0,
            "quantiles": [(low + high) / 2 for low, high in ends],
            "quantile_errors": [(high - low) / 2 for low, high in ends],
        }

    def _bin_at(self, bins: list[tuple[float, float, list[float]]], rank: int) -> Any:
        before = 0
        for low, high, held in bins:
            before += len(held)
            if before >= max(rank, 1):
                return low, high
        raise AssertionError("more were counted than there are")
