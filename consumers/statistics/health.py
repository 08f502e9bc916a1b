"""Health of dictionaries: L0; from rows chosen by hash, explained variance and loss recovered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator, Sum
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.health_table import HEALTH
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.errors import RunError
from streams.records.measures import parameter, parameters_of
from streams.records.runs import RunRecord

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "health@1"
BITS = 20
"""Hook values, squares and losses are rounded to units of 2**-BITS per token before they add up."""
LIMB = 32
"""Squares are two sums: of their lowest LIMB bits, and of the rest."""


@dataclass(frozen=True, slots=True)
class HealthSums:
    """What is added up for a source, from its entries.

    residual and square: of tokens, in units of 2**-BITS; mean: sums per value of the hook.
    """

    tokens: int
    residual: int
    square: int
    predictions: int
    losses: tuple[int, int, int]
    sums: tuple[int, ...]


FIXED = 9


class Health:
    """See the module.

    Parameter ``one_in``: of how many rows one is looked at. Two more are found when the run is
    created: ``widths``, the values of the hook that each source rebuilds, 0 for one that does not,
    and ``published``, its L0 as published, or 0.
    """

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {"one_in": Parameter(128, 1, 2**32)}
    tables = (HEALTH,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return what the run owns: firings of each source, and all that was measured."""
        run = clusters.run
        return (
            Sum("fired", len(run.sources), per="run"),
            Sum("measured", entries(run), per="run"),
        )

    def measured_entries(self, clusters: RunClusters) -> int:
        """Return how many numbers are measured."""
        return entries(clusters.run)

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what the batch's activations and what was measured add."""
        totals = np.r_[0, np.cumsum(activity.runs.fired)]
        fired = np.diff(totals[activity.clusters.component_first])
        measured = activity.measured.get(NAME)
        parts = [_some(fired, at["fired"])]
        if measured is not None:
            parts.append(_some(measured, at["measured"]))
        return Contributions(sums=tuple(parts))

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same; of the activations only one number per source leaves the device."""
        from consumers.statistics.device.health import fired_by_source

        parts = [_some(fired_by_source(activity), at["fired"])]
        measured = activity.measured.get(NAME)
        if measured is not None:
            parts.append(_some(measured, at["measured"]))
        return Contributions(sums=tuple(parts))

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return a row per source."""
        if not view.owns_run:
            return {HEALTH.name: HEALTH.schema.empty_table()}
        run = view.clusters.run
        fired, measured = view.sums("fired")[0], view.sums("measured")[0]
        rows = [
            _row(run, number, int(fired[number]), view.tokens, int(measured[0]), sums)
            for number, sums in enumerate(_by_source(run, measured))
        ]
        return {HEALTH.name: pa.Table.from_pylist(_in_order(rows), schema=HEALTH.schema)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


def one_in(run: RunRecord) -> int:
    """Return of how many rows one is measured."""
    return int(parameter(run.statistics, NAME, "one_in"))


def widths(run: RunRecord) -> list[int]:
    """Return how wide what each source rebuilds is, 0 for none; raises RunError for nonsense."""
    return [int(n) for n in _of_sources(run, "widths", int)]


def _published(run: RunRecord) -> list[float]:
    return [float(l0) for l0 in _of_sources(run, "published", float)]


def _of_sources(run: RunRecord, key: str, kind: type[int] | type[float]) -> list[Any]:
    """Return a parameter with a number for each source, zeros where the record has none."""
    said = (parameters_of(each) for each in run.statistics if each.name == NAME)
    found: Any = next(said, {}).get(key, [kind(0)] * len(run.sources))
    if not isinstance(found, list) or len(found) != len(run.sources):
        raise RunError(f"run {run.name!r} has a wrong {key} of {NAME}: a number for each source")
    if not all(type(n) is kind and 0 <= n <= 2**20 for n in found):
        raise RunError(f"run {run.name!r} has a wrong {key} of {NAME}: numbers from 0 on")
    return list(found)


def entries(run: RunRecord) -> int:
    """Return how many numbers are measured: rows, and of each source its own."""
    return 1 + sum(map(entries_of, widths(run)))


def entries_of(width: int) -> int:
    """Return how many numbers a source of that width has.

    They are: tokens; squared errors and squares, two limbs each; predictions; the model's own,
    reconstructed and ablated loss; the sums of positive values of the hook, and of negative ones
    without their sign.
    """
    return FIXED + 2 * width


def _some(values: I64, at: I64) -> tuple[I64, I64]:
    """Return addresses and values above 0 of an accumulator that the run owns."""
    some = np.flatnonzero(values)
    return at[0] + some, values[some]


def _by_source(run: RunRecord, measured: I64) -> Iterator[HealthSums]:
    begin = 1
    for width in widths(run):
        part = measured[begin : begin + entries_of(width)].tolist()
        begin += entries_of(width)
        above, below = part[FIXED : FIXED + width], part[FIXED + width :]
        yield HealthSums(
            tokens=part[0],
            residual=part[1] + (part[2] << LIMB),
            square=part[3] + (part[4] << LIMB),
            predictions=part[5],
            losses=(part[6], part[7], part[8]),
            sums=tuple(one - other for one, other in zip(above, below, strict=True)),
        )


def _row(
    run: RunRecord, number: int, fired: int, tokens: int, rows: int, found: HealthSums
) -> dict[str, Any]:
    own, reconstructed, ablated = found.losses
    count = max(1, found.predictions) << BITS
    return {
        "source": run.sources[number].name,
        "l0": fired / max(1, tokens),
        "published_l0": _published(run)[number],
        "sampled_rows": rows,
        "tokens": found.tokens,
        "explained_variance": _explained(found),
        "predictions": found.predictions,
        "cross_entropy": own / count,
        "cross_entropy_reconstructed": reconstructed / count,
        "cross_entropy_ablated": ablated / count,
        "cross_entropy_recovered": (
            (ablated - reconstructed) / (ablated - own) if ablated != own else 0.0
        ),
    }


def _explained(found: HealthSums) -> float:
    """Return the explained variance; whole numbers until the one division."""
    unit = found.tokens << BITS
    around = unit * found.square - sum(value * value for value in found.sums)
    return (around - unit * found.residual) / around if around > 0 else 0.0


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["source"]).encode())


class _Recount:
    def __init__(self, clusters: RunClusters) -> None:
        self._clusters = clusters
        self._fired = [0] * len(clusters.run.sources)
        self._sums = [0] * entries(clusters.run)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        pass

    def batch(self, batch: PlainBatch) -> None:
        names = [source.name for source in self._clusters.run.sources]
        for feature, tokens in batch.fired.items():
            name = self._clusters.component_label(feature).rpartition(":")[0]
            self._fired[names.index(name)] += tokens
        for at, value in enumerate(batch.measured.get(NAME, [])):
            self._sums[at] += int(value)

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        rows, begin, unit = [], 1, Fraction(1, 2**BITS)
        said = _published(self._clusters.run)
        for number, width in enumerate(widths(self._clusters.run)):
            one = self._sums[begin : begin + 9 + 2 * width]
            begin += 9 + 2 * width
            n, squares = one[0], (one[3] + 2**32 * one[4]) * unit
            means = [(one[9 + i] - one[9 + width + i]) * unit / max(1, n) for i in range(width)]
            around = squares - n * sum(mean**2 for mean in means)
            error = (one[1] + 2**32 * one[2]) * unit
            losses = [loss * unit / max(1, one[5]) for loss in one[6:9]]
            gap = losses[2] - losses[0]
            rows.append(
                {
                    "source": self._clusters.run.sources[number].name,
                    "l0": self._fired[number] / max(1, tokens),
                    "published_l0": said[number],
                    "sampled_rows": self._sums[0],
                    "tokens": n,
                    "explained_variance": float(1 - error / around) if around > 0 else 0.0,
                    "predictions": one[5],
                    "cross_entropy": float(losses[0]),
                    "cross_entropy_reconstructed": float(losses[1]),
                    "cross_entropy_ablated": float(losses[2]),
                    "cross_entropy_recovered": float((losses[2] - losses[1]) / gap) if gap else 0.0,
                }
            )
        return {HEALTH.name: sorted(rows, key=lambda row: row["source"].encode())}
