"""Statistic: what a number per cluster is made of; the protocol that each file here follows.

A statistic says what state it needs (accumulators), what one batch adds to it (contributions), the
tables that a snapshot shows of it, and how the oracle counts the same again, plainly. Nothing else
knows it by name: layout, messages, aggregators and manifests follow from what it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pyarrow as pa

from consumers.run_clusters import RunClusters
from consumers.statistics.accumulators import Accumulator
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions
from consumers.statistics.measured import Measured
from consumers.statistics.parameters import Parameter
from consumers.statistics.state_view import StateView
from streams.arrays import F32, I64, Bool
from streams.records.corpus import TokenBatch
from streams.snapshots.tables import TableForm

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class PlainBatch:
    """A batch as the oracle has it. valid: [row, position]. fired: per feature that is active, at
    how many tokens. measured: what the engine measured beside."""

    batch: TokenBatch
    valid: Bool
    fired: Mapping[int, int]
    measured: Measured = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class PlainCluster:
    """A cluster that fires in a batch: its activation and that of each live member.

    Dense, [row, position]; minus infinity where it is not active.
    """

    number: int
    activity: F32
    members: Sequence[F32]


class Recount(Protocol):
    """A plain recomputation over a whole corpus, fed a batch and a cluster at a time."""

    def cluster(self, batch: PlainBatch, cluster: PlainCluster) -> None:
        """Take in a cluster that fires in a batch; clusters come in their order."""

    def batch(self, batch: PlainBatch) -> None:
        """Take in a batch, after its clusters."""

    def tables(self, tokens: int) -> Mapping[str, Rows]:
        """Return the rows of the statistic's tables, by key. tokens: valid ones of the run."""


class Statistic(Protocol):
    """See the module."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its ``name@version`` in run records; more than one where one loop counts several."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What settings may choose; all of it stands in the record of a run that asks for it."""

    @property
    def tables(self) -> tuple[TableForm, ...]:
        """The tables that snapshots show of it."""

    def accumulators(self, clusters: RunClusters) -> Sequence[Accumulator]:
        """Return the state that it needs, whose widths may follow from the run's clusters."""

    def contribute(self, activity: ClusterActivity, at: Mapping[str, I64]) -> Contributions:
        """Return what a batch adds. at: per accumulator the first address of each owner."""

    def snapshot(self, view: StateView) -> Mapping[str, pa.Table]:
        """Return the rows of its tables that the view's buckets hold."""

    def recount(self, clusters: RunClusters) -> Recount:
        """Return the plain recomputation, which has seen nothing."""


@runtime_checkable
class DeviceStatistic(Protocol):
    """A statistic that can also count where the activations are; others are counted on the host.

    Its torch operations lie in ``consumers/statistics/device``: aggregators import no torch.
    """

    def contribute_on_device(
        self, activity: "DeviceActivity", at: Mapping[str, I64]
    ) -> Contributions:
        """Return what ``contribute`` does, to the last bit; errors as there."""


@runtime_checkable
class CarryingStatistic(Protocol):
    """A statistic with sums in limbs: parts of a batch, added up, need their carries."""

    def carried(self, added: Contributions, at: Mapping[str, I64]) -> Contributions:
        """Return sums of several parts of a batch as ``contribute`` has them of the whole."""


@runtime_checkable
class MeasuredStatistic(Protocol):
    """A statistic that has the engine measure hook values or logits; runs without pay nothing.

    What measures is a file in ``consumers/activations/measurements``; its numbers come in
    ``measured`` of the views, under the statistic's ``name@version``.
    """

    def measured_entries(self, clusters: RunClusters) -> int:
        """Return how many whole numbers from 0 on are measured of each batch."""


def name_of(statistic: Statistic) -> str:
    """Return the name of a statistic without its version, as settings and layout have it."""
    return statistic.names[0].partition("@")[0]
