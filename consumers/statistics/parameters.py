"""Parameters of statistics in a run's record, checked where a statistic reads them."""

from streams.errors import RunError
from streams.records.measures import parameter
from streams.records.runs import RunRecord


def whole_number(run: RunRecord, statistic: str, key: str, most: int) -> int:
    """Return a parameter that is a whole number from 1 to ``most``; raises RunError otherwise."""
    found = parameter(run.statistics, statistic, key)
    if type(found) is not int or not 1 <= found <= most:
        raise RunError(f"run {run.name!r} has {key} = {found!r} of {statistic}; take 1 to {most:,}")
    return found
