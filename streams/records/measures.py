"""Statistics and rankings of a run: ``name@version``, parameters, default histogram bin edges.

The version belongs to what a statistic or ranking means and to how its state is laid out: whoever
changes either counts it up, so that states and records of before are told apart by name.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, get_args

import numpy as np
from annotated_types import MaxLen

from streams.arrays import F32
from streams.bounds import MAX_EDGES, K, Label, SumBits, fault
from streams.errors import RunError

ACTIVATION = "activation@1"
"""Tokens and rows at which a cluster is active, and the sum and extremes of its activation there.
sum_bits: sums are integers in units of 2**-sum_bits."""

HISTOGRAM = "activation_histogram@1"
"""Active tokens per bin of activation. edges: ascending lower edges; one bin lies below them."""

COACTIVATION = "coactivation@1"
"""Tokens at which two clusters of a clustering are active, where the clustering says so."""

MEMBER_COACTIVATION = "member_coactivation@1"
"""Tokens at which two members of a cluster are active, up to 2**17 pairs."""

MAXIMUM = "maximum@1"
"""Examples by their largest activation, k of them; further rankings: ``consumers/rankings``."""


_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Measure:
    """A statistic or a ranking of a run. parameters: a JSON object in canonical form."""

    name: Label
    parameters: Annotated[str, MaxLen(2**18)] = "{}"


def measure(name: str, **parameters: Any) -> Measure:
    """Return a statistic or ranking with its parameters, which JSON has to know."""
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Measure(name, text)


@cache
def parameters_of(measure: Measure) -> Mapping[str, Any]:
    """Return the parameters of a statistic or ranking; raises RunError if they are unreadable."""
    try:
        found = json.loads(measure.parameters)
    except ValueError as error:
        raise RunError(f"{measure.name} has unreadable parameters: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{measure.name} has parameters that are no map of names to values")
    return MappingProxyType(found)


def default_edges() -> F32:
    """Return lower bin edges from 2**-8 to 2**8, four to a doubling."""
    return np.exp2(np.arange(-32, 33) / 4).astype(np.float32)


def statistics(sum_bits: int = 20, edges: F32 | None = None) -> tuple[Measure, ...]:
    """Return the statistics that every run has; others are in ``consumers/statistics``."""
    lower = default_edges() if edges is None else np.asarray(edges, np.float32)
    return (
        measure(ACTIVATION, sum_bits=int(sum_bits)),
        measure(HISTOGRAM, edges=lower.tolist()),
        measure(COACTIVATION),
        measure(MEMBER_COACTIVATION),
    )


def bare_name(measure: Measure) -> str:
    """Return the name of a statistic or ranking without its version."""
    return measure.name.partition("@")[0]


def parameter(measures: Iterable[Measure], name: str, key: str) -> Any:
    """Return a parameter of the statistic ``name``; raises RunError if there is none."""
    for each in measures:
        if each.name == name and key in parameters_of(each):
            return parameters_of(each)[key]
    raise RunError(f"the run record names no {name} with {key}")


@cache
def edges_of(measures: tuple[Measure, ...]) -> F32:
    """Return the histogram edges among statistics, read only; raises RunError without any."""
    found = np.asarray(parameter(measures, HISTOGRAM, "edges"), np.float32)
    found.setflags(write=False)
    return found


def are_sound(measures: tuple[Measure, ...]) -> bool:
    """Return whether the parameters of statistics or rankings hold what they may hold."""
    try:
        found = [parameters_of(each) for each in measures]
    except RunError:
        return False
    return all(
        _allowed(each.get("k", 1), K)
        and _allowed(each.get("sum_bits", 0), SumBits)
        and _are_edges(each.get("edges", []))
        for each in found
    )


def are_sound_rankings(measures: tuple[Measure, ...]) -> bool:
    """Return the same, and whether there are some and all have a k."""
    sound = bool(measures) and are_sound(measures)
    return sound and all("k" in parameters_of(each) for each in measures)


def _allowed(value: Any, kind: Any) -> bool:
    return type(value) is int and fault(value, get_args(kind)[1:]) is None


def _are_edges(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_EDGES:
        return False
    if not all(type(edge) in (int, float) and abs(edge) <= _LARGEST for edge in value):
        return False
    lower = np.asarray(value, np.float32).tolist()
    return all(low < high for low, high in pairwise(lower))


def check_known(run: str, given: Iterable[Measure], known: Sequence[str], what: str) -> None:
    """Raise RunError if a run names a statistic or ranking that this program does not have."""
    for each in given:
        if each.name not in known:
            raise RunError(
                f"run {run!r} names the {what} {each.name!r}, this Millrace has "
                f"{', '.join(known)}: take the Millrace that made the run, or make the run again"
            )
