"""The border between numbers and streams: what a source of activations hands over."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from consumers.statistics.measured import Measured
from streams.arrays import F32, I32, I64, Bool
from streams.records.corpus import TokenBatch

if TYPE_CHECKING:
    from consumers.activations.device_activations import DeviceActivations


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """The non-zero values of one batch at its valid tokens, sorted by component, row, position.

    component: global component numbers of the run's plan, dropped ones left out. value: signed.
    """

    component: I64
    row: I32
    position: I32
    value: F32
    measured: Measured = field(default_factory=dict, kw_only=True)


class Engine(Protocol):
    """Computes a batch. The one on torch is in ``models``, tests bring a stand-in."""

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the activations where ``valid`` [row, position] holds.

        Raises NotFiniteError if anything computed at a valid token is NaN or infinite.
        """


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine that can leave what it computes on its device, to be selected from there."""

    @property
    def selects_on_device(self) -> bool:
        """Whether workers should take ``compute_on_device``."""

    def compute_on_device(self, batch: TokenBatch, valid: Bool) -> "DeviceActivations":
        """Return the same as ``compute`` as tensors of the device; errors as there."""
