"""Tally of one batch: what all statistics of a run add, in addresses of its layout."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumers.plan import Plan
from consumers.statistics.activity import ClusterActivity
from consumers.statistics.contributions import Contributions, KeySums, MomentSums, merged_moments
from consumers.statistics.counter_merge import merge_counters
from consumers.statistics.statistic import name_of
from streams.arrays import I64, Bool
from streams.records.tallies import KeyNames


@dataclass(frozen=True, slots=True, eq=False)
class BatchTally:
    """What a batch adds, sparse and in global numbers, addresses ascending.

    keyed: by number of the run's keyed accumulators, those that something is added to.
    """

    tokens: int
    rows: int
    count_at: I64
    count: I64
    moments: MomentSums
    keyed: tuple[tuple[int, KeySums], ...] = ()
    names: tuple[KeyNames, ...] = ()


def batch_tally(plan: Plan, activity: ClusterActivity) -> BatchTally:
    """Return what all statistics of a run add for a batch; raises OverflowingSumError."""
    found = [
        each.contribute(activity, plan.layout.addresses(name_of(each))) for each in plan.statistics
    ]
    return tally_of(plan, activity.valid, found)


def tally_of(plan: Plan, valid: Bool, found: Sequence[Contributions]) -> BatchTally:
    """Return as a tally what each statistic of a run adds. valid: [row, position]."""
    count_at, count = merge_counters([part for each in found for part in each.sums])
    return BatchTally(
        tokens=int(valid.sum()),
        rows=int(valid.any(axis=1).sum()),
        count_at=count_at,
        count=count,
        moments=merged_moments([part for each in found for part in each.moments]),
        keyed=tuple(_keyed(plan, found)),
        names=tuple(_names(plan, found)),
    )


def _keyed(plan: Plan, found: Sequence[Contributions]) -> Iterator[tuple[int, KeySums]]:
    for number, each, name in _keyed_parts(plan, found):
        if name in each.keyed and len(each.keyed[name].key):
            yield number, each.keyed[name]


def _names(plan: Plan, found: Sequence[Contributions]) -> Iterator[KeyNames]:
    for number, each, name in _keyed_parts(plan, found):
        if each.names.get(name):
            yield KeyNames(number, each.names[name])


def _keyed_parts(
    plan: Plan, found: Sequence[Contributions]
) -> Iterator[tuple[int, Contributions, str]]:
    """Yield every keyed accumulator: its number, its statistic's contributions and its own name."""
    of = dict(zip(map(name_of, plan.statistics), found, strict=True))
    for number, place in enumerate(plan.layout.keyed):
        statistic, _, name = place.name.partition(".")
        yield number, of[statistic], name
