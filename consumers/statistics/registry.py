"""Registry of statistics: one line each. A run has those that its record names."""

from collections.abc import Sequence

from consumers.statistics.activation import Activation
from consumers.statistics.coactivation import Coactivation
from consumers.statistics.member_coactivation import MemberCoactivation
from consumers.statistics.statistic import Statistic
from streams.records.runs import RunRecord

STATISTICS: tuple[Statistic, ...] = (
    Activation(),
    Coactivation(),
    MemberCoactivation(),
)


def statistics_of(run: RunRecord, known: Sequence[Statistic] = STATISTICS) -> tuple[Statistic, ...]:
    """Return the statistics that a run's record names, in its order; each of them once."""
    found = (each for measure in run.statistics for each in known if measure.name in each.names)
    return tuple(dict.fromkeys(found))
