"""Measurement: whole numbers of a batch for a statistic that needs hook values or logits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from consumers.activations.engine import Activations
from consumers.encoders.nonzeros import NonZeros
from consumers.models.hook_values import HookValues
from consumers.models.language_model import LanguageModel
from consumers.models.model import Model
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from streams.arrays import I64, Bool
from streams.records.corpus import TokenBatch


@dataclass(frozen=True, slots=True, eq=False)
class ComputedBatch:
    """A batch with a valid token, and what the engine has computed of it.

    valid: [row, position]. hooked: values of the run's hooks. activations: the batch's, on the
    host. encode: of a source's number and hook values [token, width], the non-zeros; what it
    returned is gone with the next call.
    """

    batch: TokenBatch
    valid: Bool
    hooked: HookValues
    activations: Callable[[], Activations]
    encode: Callable[[int, Tensor], NonZeros]


class Measurement(Protocol):
    """Measures batches of a run; called in the thread that owns the device."""

    def measure(self, given: ComputedBatch) -> I64:
        """Return what a batch adds, [entry]; the same bits for the same batch."""


class MeasurementKind(Protocol):
    """How a statistic's numbers are measured."""

    @property
    def statistic(self) -> str:
        """The statistic's ``name@version``."""

    def parameters(
        self, model: LanguageModel, sources: Sequence[LoadedSource], context: int
    ) -> Mapping[str, Any]:
        """Return the statistic's parameters that follow from model and sources.

        Raises RunError where it cannot be measured.
        """

    def of_run(self, plan: Plan, model: Model, sources: Sequence[LoadedSource]) -> Measurement:
        """Return what measures a run that has the statistic."""
