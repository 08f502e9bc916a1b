"""Activation: tokens and rows at which a cluster is active, sum, minimum, maximum and histogram.

One loop over the active tokens fills all of these accumulators; the tokens of each feature are
counted beside them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Moments, Sum
from consumers.statistics.activation_loop import counted
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions, MomentSums
from consumers.statistics.labels import (
    cluster_labels,
    clustering_of,
    dropped_components,
    dropped_labels,
    member_labels,
    source_of,
)
from consumers.statistics.member_coactivation import has_pairs, pair_counts
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.errors import OverflowingSumError
from streams.records.measures import ACTIVATION, COACTIVATION, HISTOGRAM, MEMBER_COACTIVATION
from streams.snapshots.tables import CLUSTERS, FEATURES, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Activation:
    """See the module."""

    names = (ACTIVATION, HISTOGRAM)
    parameters: Mapping[str, Parameter] = {}
    tables: tuple[TableForm, ...] = (CLUSTERS, FEATURES)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return counters, bins, and the sum with its extremes."""
        return (
            Sum("tokens"),
            Sum("rows"),
            Sum("bins", len(clusters.run.edges) + 1),
            Moments("activation"),
            Sum("feature_tokens", per="feature"),
        )

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what clusters and features add at the tokens where they are active.

        Raises OverflowingSumError if a sum might not fit into 64 bits.
        """
        run, tokens = activity.clusters.run, activity.tokens
        most = int(np.diff(tokens.first).max(initial=0))
        check_sums(run.sum_bits, float(tokens.activity.max(initial=0.0)), most)
        count_at, count, firing, sums, low, high = counted(
            tokens,
            activity.rows.begin,
            run.edges,
            run.sum_bits,
            at["tokens"],
            at["rows"],
            at["bins"],
        )
        fired = np.flatnonzero(activity.runs.fired)
        features = at["feature_tokens"][fired], activity.runs.fired[fired]
        return Contributions(
            sums=((count_at, count), features),
            moments=(MomentSums(at["activation"][firing], sums, low, high),),
        )

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same from tensors, bit for bit."""
        from consumers.statistics.device import activation

        return activation.contribute(activity, at)

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return a row per cluster and per feature."""
        return {CLUSTERS.name: _clusters(view), FEATURES.name: _features(view)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


def _clusters(view: StateView) -> pa.Table:
    plan, clusters = view.clusters, view.numbers
    where = clustering_of(plan, clusters)
    fired = view.sums("tokens")[:, 0]
    sums, low, high = (column[:, 0] for column in view.moments("activation"))
    any_fired = fired > 0
    return CLUSTERS.table(
        {
            "cluster": np.asarray(clusters),
            "clustering": pa.array([p.name for p in plan.clusterings], pa.string()).take(where),
            "iteration": np.array([p.iteration for p in plan.clusterings], np.int64)[where],
            "label": cluster_labels(plan, clusters),
            "members": member_labels(plan, clusters),
            "dropped_members": dropped_labels(plan, clusters),
            "firing_tokens": fired,
            "firing_rows": view.sums("rows")[:, 0],
            "activation_density": fired / max(view.tokens, 1),
            "activation_sum": sums,
            "mean_activation": sums / 2.0**plan.run.sum_bits / np.maximum(fired, 1),
            "min_activation": np.where(any_fired, low, np.float32(0)),
            "max_activation": np.where(any_fired, high, np.float32(0)),
            "activation_histogram": lists(view.sums("bins")),
            "coactivation_counted": _names(plan, COACTIVATION)
            & np.array([p.coactivation for p in plan.clusterings], bool)[where],
            "member_coactivation_counted": _names(plan, MEMBER_COACTIVATION)
            & (pair_counts(plan)[clusters.start : clusters.stop] > 0),
        }
    )


def _names(plan: RunClusters, statistic: str) -> bool:
    """Return whether the run has a statistic."""
    return any(each.name == statistic for each in plan.run.statistics)


def lists(values: I64) -> pa.Array:
    """Return integers [row, entry] as a column of lists."""
    bounds = np.arange(len(values) + 1) * values.shape[1]
    flat = pa.array(values.reshape(-1), pa.int64())
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), flat)


def _features(view: StateView) -> pa.Table:
    plan = view.clusters
    numbers, fired = np.asarray(view.features, np.int64), view.sums("feature_tokens")[:, 0]
    source = source_of(plan, numbers)
    dropped = dropped_components(plan)[numbers]
    return FEATURES.table(
        {
            "feature": numbers,
            "source": pa.array([s.name for s in plan.run.sources], pa.string()).take(source),
            "index": numbers - plan.component_first[source],
            "firing_tokens": fired,
            "activation_density": fired / max(view.tokens, 1),
            "dead": (fired == 0) & ~dropped,
            "dropped": dropped,
        }
    )


def check_sums(sum_bits: int, most: float, tokens: int) -> None:
    """Raise OverflowingSumError if the sum of some cluster might not fit into 64 bits.

    most: the largest activity. tokens: the most at which a cluster is active.
    """
    largest = float(np.rint(most * 2.0**sum_bits))
    if largest * tokens >= 2.0**62:
        raise OverflowingSumError(
            f"an activity of {most:g} is too large for sums in units of "
            f"2**-{sum_bits}: start a new run with fewer sum_bits"
        )


@dataclass(slots=True)
class _Found:
    tokens: int = 0
    rows: int = 0
    sum: int = 0
    low: float = 0.0
    high: float = 0.0
    histogram: list[int] = field(default_factory=list)


class _Recount:
    def __init__(self, clusters: RunClusters) -> None:
        self._clusters = clusters
        self._edges = clusters.run.edges.tolist()
        bins = len(self._edges) + 1
        self._found = [_Found(histogram=[0] * bins) for _ in range(clusters.clusters)]
        self._fired: dict[int, int] = defaultdict(int)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        del batch
        found, active = self._found[cluster.number], cluster.activity > -np.inf
        values = cluster.activity[active].tolist()
        found.low = min([found.low, *values]) if found.tokens else min(values)
        found.high = max([found.high, *values]) if found.tokens else max(values)
        found.tokens += len(values)
        found.rows += int(active.any(axis=1).sum())
        found.sum += sum(round(v * 2**self._clusters.run.sum_bits) for v in values)
        for value in values:
            found.histogram[bisect_right(self._edges, value)] += 1

    def batch(self, batch: PlainBatch) -> None:
        for feature, tokens in batch.fired.items():
            self._fired[feature] += tokens

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        clusters, features = range(len(self._found)), range(self._clusters.components)
        return {
            CLUSTERS.name: [self._cluster_row(c, tokens) for c in clusters],
            FEATURES.name: [self._feature_row(c, tokens) for c in features],
        }

    def _cluster_row(self, cluster: int, tokens: int) -> dict[str, Any]:
        plan, found = self._clusters, self._found[cluster]
        where = next(c for c in plan.clusterings if c.first <= cluster < c.stop)
        first, stop = plan.listed_first[cluster : cluster + 2]
        listed = [int(c) for c in plan.listed[first:stop]]
        first, stop = plan.member_first[cluster : cluster + 2]
        members = [int(m) for m in plan.members[first:stop]]
        return {
            "cluster": cluster,
            "clustering": where.name,
            "iteration": where.iteration,
            "label": where.labels[cluster - where.first],
            "members": [plan.component_label(c) for c in members],
            "dropped_members": [plan.component_label(c) for c in listed if c not in members],
            "firing_tokens": found.tokens,
            "firing_rows": found.rows,
            "activation_density": found.tokens / max(tokens, 1),
            "activation_sum": found.sum,
            "mean_activation": found.sum / 2**plan.run.sum_bits / max(found.tokens, 1),
            "min_activation": found.low,
            "max_activation": found.high,
            "activation_histogram": found.histogram,
            "coactivation_counted": where.coactivation and _names(plan, COACTIVATION),
            "member_coactivation_counted": has_pairs(len(members))
            and _names(plan, MEMBER_COACTIVATION),
        }

    def _feature_row(self, feature: int, tokens: int) -> dict[str, Any]:
        name, _, index = self._clusters.component_label(feature).partition(":")
        source = next(s for s in self._clusters.run.sources if s.name == name)
        dropped = int(index) in source.dropped
        return {
            "feature": feature,
            "source": name,
            "index": int(index),
            "firing_tokens": self._fired[feature],
            "activation_density": self._fired[feature] / max(tokens, 1),
            "dead": not dropped and not self._fired[feature],
            "dropped": dropped,
        }
