"""What a run has by default, for records of tests: exactly what settings without a choice give."""

from typing import Any

from consumers.runs.default_numbers import numbers
from consumers.runs.specs import DEFAULT, ModelSpec, RunSpec
from streams.records.measures import statistics


def default_measures(clusters: int, k: int) -> dict[str, Any]:
    """Return ``statistics`` and ``rankings`` of a run of so many clusters, k examples of each."""
    spec = RunSpec(
        name="run",
        store="store",
        model=ModelSpec(),
        sources=(),
        k=k,
        statistics=(DEFAULT,),
        rankings=(DEFAULT,),
    )
    found = numbers(spec, clusters)
    return {
        "statistics": (*statistics(), *found.statistics),
        "rankings": found.rankings,
    }
