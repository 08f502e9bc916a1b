"""The panel of the distribution: spread, skewness and quantiles of a cluster's activation."""

import math
from dataclasses import dataclass
from typing import Any

from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Shares of active tokens whose quantiles the table has, in its order."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """The activation that a share of active tokens does not exceed, up to an error."""

    share: float
    value: float
    error: float


@dataclass(frozen=True, slots=True)
class ShownDistribution:
    """Standard deviation; skewness, quantiles, each with a bound on its error."""

    deviation: float
    skewness: float
    skewness_error: float
    quantiles: tuple[Quantile, ...]


@dataclass(frozen=True, slots=True)
class DistributionPanel:
    """What the statistic ``distribution`` says of a cluster."""

    table: str = "activation_distribution"
    template: str = "panels/distribution.html"

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> ShownDistribution | None:
        """Return the numbers of a cluster, None for one that is never active."""
        filters = [("cluster", "==", subject.cluster)]
        rows = read_table(snapshot.manifest, self.table, filters=filters).slice(0, 1).to_pylist()
        return _shown(rows[0]) if rows else None


def _shown(row: dict[str, Any]) -> ShownDistribution:
    values, errors = row.get("quantiles") or [], row.get("quantile_errors") or []
    single = [row.get(name) for name in ("variance", "skewness", "skewness_error")]
    numbers = [*single, *values, *errors]
    if not all(isinstance(each, float) and math.isfinite(each) for each in numbers):
        raise SnapshotError("its distribution has numbers that are not finite")
    if not len(values) == len(errors) == len(QUANTILES) or row["variance"] < 0:
        raise SnapshotError("its distribution makes no sense")
    return ShownDistribution(
        math.sqrt(row["variance"]),
        row["skewness"],
        row["skewness_error"],
        tuple(map(Quantile, QUANTILES, values, errors)),
    )
