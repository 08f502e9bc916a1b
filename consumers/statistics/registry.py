"""Registry of statistics: one line each. A run has those that its record names."""

from collections.abc import Sequence

from consumers.statistics.activation import Activation
from consumers.statistics.coactivation import Coactivation
from consumers.statistics.distribution import Distribution
from consumers.statistics.domains import Domains
from consumers.statistics.member_coactivation import MemberCoactivation
from consumers.statistics.peak_position import PeakPosition
from consumers.statistics.position import Position
from consumers.statistics.row_maximum import RowMaximum
from consumers.statistics.statistic import Statistic
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
    Tokens(),
)


OPTIONAL = tuple(
    each.names[0].partition("@")[0]
    for each in STATISTICS
    if not set(each.names) & {measure.name for measure in statistics()}
)
"""The statistics that a run has only if it asks for them, without versions."""


def optional_statistics(names: Sequence[str]) -> tuple[Measure, ...]:
    """Return these optional statistics, by name without version, with their default parameters.

    Raises RunError for a name that is none, or that stands there twice.
    """
    unknown = [name for name in names if name not in OPTIONAL]
    if unknown or len(set(names)) < len(names):
        raise RunError(
            f"statistics {', '.join(names)}: take each of {', '.join(OPTIONAL)} at most once"
        )
    known = {each.names[0].partition("@")[0]: each for each in STATISTICS}
    return tuple(measure(known[name].names[0], **known[name].defaults) for name in names)


def statistics_of(run: RunRecord, known: Sequence[Statistic] = STATISTICS) -> tuple[Statistic, ...]:
    """Return the statistics that a run's record names, in its order; each of them once."""
    found = (each for measure in run.statistics for each in known if measure.name in each.names)
    return tuple(dict.fromkeys(found))
