"""Registry of measurements: one line each. A run has those of the statistics in its record."""

from collections.abc import Sequence

from consumers.activations.measurements.health import HealthKind
from consumers.activations.measurements.hook_values import HookValuesKind
from consumers.activations.measurements.measurement import Measurement, MeasurementKind
from consumers.activations.measurements.noise_robustness import NoiseRobustnessKind
from consumers.models.language_model import LanguageModel
from consumers.models.model import Model
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from streams.records.measures import Measure, measure, parameters_of

MEASUREMENTS: tuple[MeasurementKind, ...] = (HealthKind(), NoiseRobustnessKind(), HookValuesKind())


def measurements_of(
    plan: Plan, model: Model, sources: Sequence[LoadedSource]
) -> dict[str, Measurement]:
    """Return what measures beside activations in a run, by the statistic's name."""
    named = {each.name for each in plan.run.statistics}
    return {
        kind.statistic: kind.of_run(plan, model, sources)
        for kind in MEASUREMENTS
        if kind.statistic in named
    }


def with_found_parameters(
    statistics: Sequence[Measure],
    model: LanguageModel,
    sources: Sequence[LoadedSource],
    context: int,
) -> tuple[Measure, ...]:
    """Return statistics with the parameters that follow from a new run's model and sources.

    Raises RunError where one cannot be measured.
    """
    kinds = {kind.statistic: kind for kind in MEASUREMENTS}
    return tuple(
        measure(
            each.name,
            **{
                **parameters_of(each),
                **kinds[each.name].parameters(model, sources, context),
            },
        )
        if each.name in kinds
        else each
        for each in statistics
    )
