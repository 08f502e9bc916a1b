"""How large the aggregators' state of a run will be: by the formula of docs/formats.md."""

from dataclasses import dataclass

import numpy as np

from consumers.plan import Plan
from consumers.statistics.accumulators import Keyed, has_large_sums
from consumers.statistics.layout import text_bytes, widths_of
from streams.arrays import I64, Bool

# Measured by benchmarks/traffic.py, as packed in memory and in the changelog.
_HIT, _ENTRY, _COUNTER, _CLUSTER, _BUCKET = 28, 6, 4, 16, 1100


@dataclass(frozen=True, slots=True)
class Density:
    """How often components fire in rows.

    in_rows: in a row in which one fires at all, mean over such pairs. overall: mean over all pairs.
    """

    in_rows: float
    overall: float


def density_of(fires: Bool, rows: I64) -> Density:
    """Return the density of a sample. fires: [token, component]. rows: the row of each token."""
    held = np.unique(rows)
    counts = np.stack([fires[rows == row].sum(0) for row in held])
    return Density(float(counts.sum() / max((counts > 0).sum(), 1)), float(counts.mean()))


def state_bytes(plan: Plan, density: Density, rows: int | None) -> int:
    """Return about how many bytes all buckets of a run take together when its tables are full.

    Of sums by key it is the most that they can take.

    rows: how many the corpus has, None if that is not known yet. A hit of a cluster holds what its
    members do in one row: what they do on average, and at least what one does that fires there.
    """
    sizes = np.diff(plan.member_first).astype(np.float64)
    entries = np.maximum(density.in_rows, density.overall * sizes)
    hits = sum(
        given.most_hits if rows is None else min(given.most_hits, rows) for given in plan.rankings
    )
    tables = hits * (_HIT + _ENTRY * np.minimum(entries, plan.run.context * sizes))
    large = any(has_large_sums(each.accumulators(plan)) for each in plan.statistics)
    counters = _COUNTER * (1 + large) * int(plan.layout.sum_first[-1])
    buckets = _BUCKET * (len(plan.layout.sum_first) - 1)
    return int(tables.sum()) + counters + _CLUSTER * plan.clusters + buckets + most_by_key(plan)


def most_by_key(plan: Plan) -> int:
    """Return the most bytes that sums by key take in all buckets, with the texts of their keys."""
    accumulators = [each for one in plan.statistics for each in one.accumulators(plan)]
    _, _, of_clusters = widths_of(accumulators, plan.clusters)
    of_run = sum(
        each.bytes for each in accumulators if isinstance(each, Keyed) and each.per == "run"
    )
    buckets = len(plan.layout.sum_first) - 1
    return int(of_clusters.sum()) + of_run + buckets * text_bytes(accumulators)
