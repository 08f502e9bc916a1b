"""Hook values: mean and covariance of each hook's values, from rows chosen by their hash.

What is summed up is in ``consumers/activations/measurements/hook_values.py``; the spectrum is
computed from a finished snapshot, since last bits of eigenvalues depend on the machine.
"""

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
from consumers.statistics.measured import Measured
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount, Rows
from streams.arrays import I64
from streams.errors import RunError
from streams.records.measures import parameter, parameters_of
from streams.records.runs import RunRecord
from streams.snapshots.tables import Column, TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

NAME = "hook_values@2"
LIMB = 32
"""A sum of products is high * 2**LIMB + low; a batch adds less than 2**LIMB to the low one."""

FORM = TableForm(
    "hook_values",
    "Mean and covariance of hooks' values, from rows chosen by their sample key, one in `one_in`.",
    ("hook", "coordinate"),
    (
        Column("hook", pa.string(), "hook"),
        Column("coordinate", pa.int32(), "which of its values"),
        Column("tokens", pa.int64(), "valid tokens of these rows", "tokens", "sampled"),
        Column(
            "left_out",
            pa.int64(),
            "further valid tokens of these rows, with a value too large for the run's `bits`",
            "tokens",
            "sampled",
        ),
        Column("mean", pa.float64(), "mean over `tokens`, 0 if none", "hook value", "sampled"),
        Column(
            "covariance",
            pa.list_(pa.float64()),
            "covariance with the coordinates from 0 to this one, divided by `tokens`",
            "hook value^2",
            "sampled",
        ),
    ),
)


class HookValues:
    """See the module.

    Parameters: ``one_in``: of how many rows one is looked at; ``bits``: values are rounded to
    2**-bits. ``widths``, how many values the hook of each source has, is found when the run is
    created.
    """

    names = (NAME,)
    parameters: Mapping[str, Parameter] = {
        "one_in": Parameter(64, 1, 2**32),
        "bits": Parameter(16, 0, 20),
    }
    tables = (FORM,)

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return what was measured, which the run owns."""
        return (Sum("measured", self.measured_entries(clusters), per="run"),)

    def measured_entries(self, clusters: RunClusters) -> int:
        """Return how many numbers are measured, of all hooks."""
        return sum(map(entries_of, widths(clusters.run).values()))

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what was measured."""
        return _contributions(activity.measured, at)

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return the same: nothing is read from the device."""
        return _contributions(activity.measured, at)

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return a row for each value of a hook; whole numbers until the one division."""
        if not view.owns_run:
            return {FORM.name: FORM.schema.empty_table()}
        run, rows = view.clusters.run, list[dict[str, Any]]()
        unit = 2 ** int(parameter(run.statistics, NAME, "bits"))
        for hook, found in _by_hook(run, view.sums("measured")[0]):
            n = max(found.tokens, 1)
            for i, total in enumerate(found.sums):
                products = found.products[i * (i + 1) // 2 :][: i + 1]
                rows.append(
                    {
                        "hook": hook,
                        "coordinate": i,
                        "tokens": found.tokens,
                        "left_out": found.left_out,
                        "mean": total / (n * unit),
                        "covariance": [
                            (n * product - total * other) / (n * n * unit * unit)
                            for product, other in zip(products, found.sums, strict=False)
                        ],
                    }
                )
        return {FORM.name: pa.Table.from_pylist(rows, schema=FORM.schema)}

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation."""
        return _Recount(clusters)


@dataclass(frozen=True, slots=True)
class HookSums:
    """Sums of a hook's rounded values, and of the products of pairs i >= j, row by row.

    left_out: tokens with a value that has no place in them.
    """

    tokens: int
    left_out: int
    sums: tuple[int, ...]
    products: tuple[int, ...]


def entries_of(width: int) -> int:
    """Return how many numbers a hook has.

    They are: tokens; tokens that are left out; sums of positive values, and of negative ones
    without their sign; of each pair of values i >= j, row by row: the positive high limbs of their
    products, the negative ones without their sign, and the low limbs.
    """
    return 2 + 2 * width + 3 * (width * (width + 1) // 2)


def widths(run: RunRecord) -> dict[str, int]:
    """Return how many values each hook has, 0 where the record does not say; hooks are sorted.

    Raises RunError for nonsense.
    """
    said = (parameters_of(each) for each in run.statistics if each.name == NAME)
    found: Any = next(said, {}).get("widths", [0] * len(run.sources))
    whole = isinstance(found, list) and all(type(n) is int and 0 <= n <= 2**20 for n in found)
    if not whole or len(found) != len(run.sources):
        raise RunError(f"run {run.name!r} has wrong widths of {NAME}: a number for each source")
    of_hook = {source.hook: n for source, n in zip(run.sources, found, strict=True)}
    return dict(sorted(of_hook.items(), key=lambda item: item[0].encode()))


def _contributions(measured: Measured, at: Mapping[str, I64]) -> Contributions:
    if NAME not in measured:
        return Contributions()
    some = np.flatnonzero(measured[NAME])
    return Contributions(sums=((at["measured"][0] + some, measured[NAME][some]),))


def _by_hook(run: RunRecord, measured: I64) -> Iterator[tuple[str, HookSums]]:
    begin = 0
    for hook, width in widths(run).items():
        part, pairs = measured[begin:][: entries_of(width)], width * (width + 1) // 2
        begin += len(part)
        above, below = part[2:][:width], part[2 + width :][:width]
        high, negative, low = part[2 + 2 * width :].reshape(3, pairs).astype(object)
        products = ((high - negative) << LIMB) + low
        sums = above.astype(object) - below
        yield (
            hook,
            HookSums(int(part[0]), int(part[1]), tuple(sums.tolist()), tuple(products.tolist())),
        )


class _Recount:
    def __init__(self, clusters: RunClusters) -> None:
        self._run = clusters.run
        self._sums = [0] * HookValues().measured_entries(clusters)

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        pass

    def batch(self, batch: PlainBatch) -> None:
        for at, value in enumerate(batch.measured.get(NAME, [])):
            self._sums[at] += int(value)

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        del tokens
        rows, numbers = [], iter(self._sums)
        unit = Fraction(1, 2 ** int(parameter(self._run.statistics, NAME, "bits")))
        for hook, width in widths(self._run).items():
            n, left_out = next(numbers), next(numbers)
            above, below = ([next(numbers) for _ in range(width)] for _ in range(2))
            pairs = width * (width + 1) // 2
            high, negative, low = ([next(numbers) for _ in range(pairs)] for _ in range(3))
            mean = [(a - b) * unit / max(n, 1) for a, b in zip(above, below, strict=True)]
            for i in range(width):
                found = []
                for j in range(i + 1):
                    at = i * (i + 1) // 2 + j
                    product = (high[at] - negative[at]) * 2**32 + low[at]
                    found.append(float(product * unit * unit / max(n, 1) - mean[i] * mean[j]))
                rows.append(
                    {
                        "hook": hook,
                        "coordinate": i,
                        "tokens": n,
                        "left_out": left_out,
                        "mean": float(mean[i]),
                        "covariance": found,
                    }
                )
        return {FORM.name: rows}
