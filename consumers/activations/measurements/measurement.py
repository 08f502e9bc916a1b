"""Measurement: whole numbers of a batch for a statistic that needs hook values or logits."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from consumers.models.language_model import LanguageModel
from consumers.models.model import Model
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from streams.arrays import I64, Bool
from streams.records.corpus import TokenBatch


class Measurement(Protocol):
    """Measures batches of a run; called in the thread that owns the device."""

    def measure(self, batch: TokenBatch, valid: Bool) -> I64:
        """Return what a batch adds, [entry]; the same bits for the same batch.

        valid: [row, position].
        """


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
