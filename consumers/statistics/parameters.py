"""Parameters of statistics: what values they may have, and how settings give them.

``tokens=budget:256,one_in:4`` names a statistic with two; ``[statistics.tokens]`` is a table of
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.bounds import shown
from streams.errors import RunError
from streams.records.measures import parameter
from streams.records.runs import RunRecord


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that settings may choose, ``usual`` if they do not; whole where ``usual`` is.

    least, most: the bounds, which are allowed, too.
    """

    usual: int | float
    least: float
    most: float

    def allows(self, value: Any) -> bool:
        """Return whether a run may have this value."""
        kinds = (int,) if type(self.usual) is int else (int, float)
        return type(value) in kinds and self.least <= value <= self.most

    @property
    def allowed(self) -> str:
        """What it may be, for people."""
        kind = "a whole number" if type(self.usual) is int else "a number"
        return f"{kind} from {self.least:,} to {self.most:,}"


def check_parameters(run: RunRecord, statistic: str, parameters: Mapping[str, Parameter]) -> None:
    """Raise RunError unless a run has each of a statistic's parameters, with an allowed value."""
    for key, each in parameters.items():
        found = parameter(run.statistics, statistic, key)
        if not each.allows(found):
            raise RunError(
                f"run {run.name!r} has {key} = {shown(found)} of {statistic}; take {each.allowed}"
            )


def filled(
    statistic: str, parameters: Mapping[str, Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all parameters of a statistic, the usual where ``given`` has none.

    Raises RunError for one that it does not have, and for a value that is not allowed.
    """
    for key, value in given.items():
        if key not in parameters:
            known = f"it has {', '.join(parameters)}" if parameters else "it has none"
            raise RunError(f"statistic {statistic} has no parameter {shown(key)}: {known}")
        if not parameters[key].allows(value):
            raise RunError(
                f"statistic {statistic}: {key} = {shown(value)}; take {parameters[key].allowed}"
            )
    return {key: given.get(key, each.usual) for key, each in parameters.items()}


def named(text: str) -> tuple[str, dict[str, int | float]]:
    """Return name and parameters of ``NAME`` or ``NAME=PARAMETER:NUMBER,...``.

    Raises RunError for another form, and for a parameter that stands there twice.
    """
    name, equals, rest = text.partition("=")
    found: dict[str, int | float] = {}
    for part in rest.split(",") if equals else ():
        key, _, value = part.partition(":")
        number = _number(value)
        if not key or key in found or number is None:
            raise RunError(
                f"statistic {shown(text)}: write NAME=PARAMETER:NUMBER, further ones behind commas"
            )
        found[key] = number
    return name, found


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else float(text)
    except ValueError:
        return None
