"""Registry of statistics: one line each. A run has those that its record names."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from consumers.statistics.activation import Activation
from consumers.statistics.coactivation import Coactivation
from consumers.statistics.distribution import Distribution
from consumers.statistics.domains import Domains
from consumers.statistics.health import Health
from consumers.statistics.hook_values import HookValues
from consumers.statistics.member_coactivation import MemberCoactivation
from consumers.statistics.noise_robustness import NoiseRobustness
from consumers.statistics.parameters import filled, named
from consumers.statistics.peak_position import PeakPosition
from consumers.statistics.place import Place
from consumers.statistics.position import Position
from consumers.statistics.row_maximum import RowMaximum
from consumers.statistics.statistic import Statistic, name_of
from consumers.statistics.tokens import Tokens
from streams.errors import RunError
from streams.records.measures import Measure, measure, statistics
from streams.records.runs import RunRecord

STATISTICS: tuple[Statistic, ...] = (
    Activation(),
    Coactivation(),
    MemberCoactivation(),
    PeakPosition(),
    Domains(),
    RowMaximum(),
    Distribution(),
    Position(),
    Place(),
    Tokens(),
    Health(),
    NoiseRobustness(),
    HookValues(),
)


REQUIRED = tuple(each.name.partition("@")[0] for each in statistics())
"""The statistics that every run has, without versions."""

OPTIONAL = tuple(name for each in STATISTICS if (name := name_of(each)) not in REQUIRED)
"""The statistics that a run has only if it asks for them, without versions."""


def optional_statistics(
    names: Sequence[str], tables: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> tuple[Measure, ...]:
    """Return optional statistics for a run's record, as settings ask for them.

    names: NAME, or NAME=PARAMETER:NUMBER,...; tables: parameters by name, which ask for the
    statistic, too. What stands beside a name comes before a table, and that before the usual.
    Raises RunError for a name or parameter that is none, or stands there twice.
    """
    asked = [named(each) for each in names]
    bare = [name for name, _ in asked]
    asked += [(name, {}) for name in tables if name not in bare]
    for name, _ in asked:
        if name in REQUIRED:
            raise RunError(
                f"statistic {name} is in every run; what can be chosen of it are edges and sum_bits"
                " under [run]"
            )
    if len(set(bare)) < len(bare) or not {name for name, _ in asked} <= set(OPTIONAL):
        raise RunError(
            f"statistics {', '.join(name for name, _ in asked)}: take each of "
            f"{', '.join(OPTIONAL)} at most once"
        )
    known = {name_of(each): each for each in STATISTICS}
    found = []
    for name, given in asked:
        values = {**tables.get(name, {}), **given}
        found.append(measure(known[name].names[0], **filled(name, known[name].parameters, values)))
    return tuple(found)


def statistics_of(run: RunRecord, known: Sequence[Statistic] = STATISTICS) -> tuple[Statistic, ...]:
    """Return the statistics that a run's record names, in its order; each of them once."""
    found = (each for measure in run.statistics for each in known if measure.name in each.names)
    return tuple(dict.fromkeys(found))
