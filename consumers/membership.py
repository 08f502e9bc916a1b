"""From components to clusters: every activation is handed to each cluster it is a member of."""

from dataclasses import dataclass

import numpy as np

from consumers.engine import Activations
from streams.arrays import F32, I32, I64, Bool
from streams.hits import ranges
from streams.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Activations as members of clusters, sorted by cluster, row, position.

    activity: the value with its source's sign applied. fires: activity exceeds the threshold.
    """

    cluster: I64
    row: I32
    position: I32
    member: I32
    value: F32
    activity: F32
    fires: Bool


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """Which clusters a component belongs to; planned once per run.

    single [component]: its cluster of one, -1 for none. first [component + 1], cluster, member: the
    given clusters it is a member of, and as which.
    """

    single: I64
    first: I64
    cluster: I64
    member: I32


def make_membership(plan: Plan) -> Membership:
    """Return the membership of a plan's components."""
    sizes = np.diff(plan.member_first)
    cluster = np.repeat(np.arange(plan.clusters), sizes)
    member = (np.arange(len(plan.members)) - plan.member_first[cluster]).astype(np.int32)
    is_single = cluster < _first_given(plan)
    single = np.full(plan.components, -1, np.int64)
    single[plan.members[is_single]] = cluster[is_single]
    given = np.flatnonzero(~is_single)
    order = given[np.argsort(plan.members[given], kind="stable")]
    counts = np.bincount(plan.members[order], minlength=plan.components)
    first = np.r_[0, np.cumsum(counts)]
    return Membership(
        single=single,
        first=first,
        cluster=cluster[order],
        member=member[order],
    )


def _first_given(plan: Plan) -> int:
    """Return the number of the first cluster that is not a built-in cluster of one."""
    return sum(s.components for s in plan.run.sources if s.singles)


def entries(
    membership: Membership, activations: Activations, activity: F32, fires: Bool
) -> Entries:
    """Return every (cluster, member) that the activations belong to.

    activity and fires are those of the activations (plan.activity_of).
    """
    single = membership.single[activations.component]
    alone = np.flatnonzero(single >= 0)
    counts = np.diff(membership.first)[activations.component]
    given = np.repeat(np.arange(len(counts)), counts)
    at = ranges(membership.first[activations.component], counts)
    cluster = membership.cluster[at]
    order = np.lexsort((activations.position[given], activations.row[given], cluster))
    which = np.r_[alone, given[order]]
    return Entries(
        cluster=np.r_[single[alone], cluster[order]],
        row=activations.row[which],
        position=activations.position[which],
        member=np.r_[np.zeros(len(alone), np.int32), membership.member[at][order]],
        value=activations.value[which],
        activity=activity[which],
        fires=fires[which],
    )
