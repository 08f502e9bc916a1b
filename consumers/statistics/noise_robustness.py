"""Noise robustness: what Gaussian noise on the hook's value does to features and their sets.

What is drawn and compared is in ``consumers/activations/measurements/noise_robustness.py``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Sum
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.measured import Measured
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.records.measures import parameter
from streams.records.runs import RunRecord
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "noise_robustness@1"
JACCARD_BITS, JACCARD_BINS = 20, 10
PER_FEATURE = 3
"""Numbers of a feature and size: tokens at which it went silent, and at which it began to be
active; sum of the changes of its activation, in units of 2**-sum_bits."""
PER_SOURCE = 2 + JACCARD_BINS
"""Numbers of a source and size: tokens; sum of their Jaccard indices, in units of
2**-JACCARD_BITS; tokens per bin of the index."""

_SIZE = Column("size", pa.float64(), "standard deviation of the noise", "hook value")
NOISE = TableForm(
    "noise_robustness",
    "What noise on the hook's value does to features; features that never are active are left out.",
    ("feature", "size"),
    (
        Column("feature", pa.int32(), "feature, as in `features`"),
        _SIZE,
        Column("lost_tokens", pa.int64(), "tokens at which it is active without it only", "tokens"),
        Column("gained_tokens", pa.int64(), "tokens at which it is active with it only", "tokens"),
        Column(
            "flipped",
            pa.float64(),
            "`lost_tokens` / `firing_tokens`; 0 where it is active with noise only",
            "share of firing tokens",
        ),
        Column(
            "mean_change",
            pa.float64(),
            "absolute change of its activation, over tokens at which it is active with or without "
            "noise; inactive counts as 0",
            "activation",
        ),
    ),
)
NOISE_SETS = TableForm(
    "noise_sets",
    "How much of the set of features that are active at a token noise leaves as it was.",
    ("source", "size"),
    (
        Column("source", pa.string(), "source"),
        _SIZE,
        Column("tokens", pa.int64(), "tokens with a feature active with or without it", "tokens"),
        Column(
            "jaccard",
            pa.float64(),
            "Jaccard index of the two sets, mean over these tokens; 0 if there are none",
            "share",
        ),
        Column(
            "jaccard_bins",
            pa.list_(pa.int64()),
            "tokens per bin of the index: ten equal ones from 0 to 1",
            "tokens",
        ),
    ),
)


class NoiseRobustness:
    """See the module. Sizes are ``size``, ``size`` x ``factor`` and so on, ``sizes`` of them."""

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {
        "size": Parameter(0.1, 1e-6, 1e6),
        "sizes": Parameter(1, 1, 8),
        "factor": Parameter(2.0, 1.0001, 1000),
    }
    tables = (NOISE, NOISE_SETS)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return the numbers of features and of sources, for each size."""
        n = len(sizes_of(clusters.run))
        return (
            Sum("features", PER_FEATURE * n, per="feature", large=True),
            Sum("sources", PER_SOURCE * n * len(clusters.run.sources), per="run"),
        )

    def measured_entries(self, clusters: RunClusters) -> int:
        """Return how many numbers are measured: those of features, then those of sources."""
        return sum(part.size for part in split(clusters, None))

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what was measured."""
        return _contributions(activity.clusters, activity.measured, at)

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same: nothing is read from the device."""
        return _contributions(activity.clusters, activity.measured, at)

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the rows of features that were active, and those of sources."""
        run = view.clusters.run
        sizes = np.array(sizes_of(run))
        firing = view.of("activation").sums("feature_tokens")[:, 0]
        found = view.sums("features").reshape(len(firing), len(sizes), PER_FEATURE)
        lost, gained, change = (found[..., column] for column in range(PER_FEATURE))
        some = np.flatnonzero(firing + gained.sum(axis=1))
        lost, gained, change = lost[some], gained[some], change[some]
        before = np.repeat(firing[some], len(sizes)).reshape(lost.shape)
        with_or_without = np.maximum(before + gained, 1)
        noise = NOISE.table(
            {
                "feature": np.repeat(some + view.features.start, len(sizes)),
                "size": np.tile(sizes, len(some)),
                "lost_tokens": lost.ravel(),
                "gained_tokens": gained.ravel(),
                "flipped": (lost / np.maximum(before, 1)).ravel(),
                "mean_change": (change / with_or_without / 2.0**run.sum_bits).ravel(),
            }
        )
        if not view.owns_run:
            return {NOISE.name: noise, NOISE_SETS.name: NOISE_SETS.schema.empty_table()}
        of_sources = view.sums("sources")[0].reshape(len(run.sources), len(sizes), PER_SOURCE)
        rows = [
            _sets_row(source.name, size, *numbers)
            for source, of_sizes in zip(run.sources, of_sources.tolist(), strict=True)
            for size, numbers in zip(sizes_of(run), of_sizes, strict=True)
        ]
        return {
            NOISE.name: noise,
            NOISE_SETS.name: pa.Table.from_pylist(_in_order(rows), schema=NOISE_SETS.schema),
        }

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


def sizes_of(run: RunRecord) -> tuple[float, ...]:
    """Return the sizes of noise of a run, ascending."""
    size, sizes, factor = (
        parameter(run.statistics, NAME, key) for key in ("size", "sizes", "factor")
    )
    return tuple(float(size) * float(factor) ** step for step in range(int(sizes)))


def split(clusters: RunClusters, measured: I64 | None) -> tuple[I64, I64]:
    """Return what was measured, of features [feature, size, 3] and of sources [source, size, 12].

    None for nothing.
    """
    n, sources = len(sizes_of(clusters.run)), len(clusters.run.sources)
    of_features = PER_FEATURE * n * clusters.components
    if measured is None:
        measured = np.zeros(of_features + PER_SOURCE * n * sources, np.int64)
    return (
        measured[:of_features].reshape(clusters.components, n, PER_FEATURE),
        measured[of_features:].reshape(sources, n, PER_SOURCE),
    )


def _contributions(
    clusters: RunClusters, measured: Measured, at: Mapping[str, I64]
) -> Contributions:
    if NAME not in measured:
        return Contributions()
    features, sources = split(clusters, measured[NAME])
    number, entry = np.nonzero(features.reshape(len(features), -1))
    values, some = sources.reshape(-1), np.flatnonzero(sources)
    return Contributions(
        sums=(
            (at["features"][number] + entry, features.reshape(len(features), -1)[number, entry]),
            (at["sources"][0] + some, values[some]),
        )
    )


def _sets_row(source: str, size: float, tokens: int, jaccard: int, *bins: int) -> dict[str, Any]:
    return {
        "source": source,
        "size": size,
        "tokens": tokens,
        "jaccard": jaccard / max(1, tokens) / 2**JACCARD_BITS,
        "jaccard_bins": list(bins),
    }


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["source"].encode(), row["size"]))


class _Recount:
    def __init__(self, clusters: RunClusters) -> None:
        self._clusters = clusters
        self._sums = [0] * NoiseRobustness().measured_entries(clusters)
        self._fired = [0] * clusters.components

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        pass

    def batch(self, batch: PlainBatch) -> None:
        for at, value in enumerate(batch.measured.get(NAME, [])):
            self._sums[at] += int(value)
        for feature, tokens in batch.fired.items():
            self._fired[feature] += tokens

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        run, numbers = self._clusters.run, iter(self._sums)
        sizes, noise, sets = sizes_of(run), [], []
        for feature, fired in enumerate(self._fired):
            rows = [[next(numbers) for _ in range(3)] for _ in sizes]
            if not fired and not any(gained for _, gained, _ in rows):
                continue
            for size, (lost, gained, change) in zip(sizes, rows, strict=True):
                noise.append(
                    {
                        "feature": feature,
                        "size": size,
                        "lost_tokens": lost,
                        "gained_tokens": gained,
                        "flipped": lost / max(1, fired),
                        "mean_change": change / max(1, fired + gained) / 2.0**run.sum_bits,
                    }
                )
        for source in run.sources:
            for size in sizes:
                n, jaccard, *bins = [next(numbers) for _ in range(12)]
                sets.append(
                    {
                        "source": source.name,
                        "size": size,
                        "tokens": n,
                        "jaccard": jaccard / max(1, n) / 2**20,
                        "jaccard_bins": bins,
                    }
                )
        return {NOISE.name: noise, NOISE_SETS.name: _in_order(sets)}
