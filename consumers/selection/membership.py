"""From components to clusters: where each cluster fires, and how strongly.

Everything here works on runs: a batch's activations are sorted by component, so a component's are
one run of them; a cluster's tokens are again one run, in the order of the text.
"""

import numpy as np

from consumers.activations.engine import Activations
from consumers.bitmask import lowest
from consumers.compiled import compiled
from consumers.run_clusters import RunClusters
from consumers.selection.memory_prefetch import prefetch
from consumers.statistics.activity import ClusterTokens, Runs
from streams.arrays import F32, I8, I32, I64, U32, U64, AnyArray

SILENT = np.float32(-np.inf)
# Members' runs lie wherever their components do: they are asked for so many members ahead, and at
# both edges, since a run is about as long as a line of the cache and seldom begins with one.
_AHEAD = np.uint64(8)


def runs_of(plan: RunClusters, activations: Activations, positions: int) -> Runs:
    """Return the activations of a batch with rows of so many positions as runs."""
    size = len(activations.component)
    first, fired = np.zeros(plan.components + 1, np.int64), np.zeros(plan.components, np.int64)
    token, activity = np.empty(size, np.int32), np.empty(size, np.float32)
    _runs(
        activations.component.view(np.uint64),
        activations.row,
        activations.position,
        activations.value,
        np.int32(positions),
        plan.sign,
        plan.threshold,
        first,
        token,
        activity,
        fired,
    )
    return Runs(positions, first, token, activations.value, activity, fired)


def cluster_tokens(member_first: I64, members: I64, runs: Runs, tokens: int) -> ClusterTokens:
    """Return where clusters fire and their maxima over members, from sparse activations.

    member_first [cluster + 1] and members: the components of each cluster. tokens: how many the
    batch has, padding included.
    """
    first = np.zeros(len(member_first), np.int64)
    size = _entries(members, runs.first) + 1
    token, activity = np.empty(size, np.uint32), np.empty(size, np.float32)
    _cluster_tokens(
        member_first.view(np.uint64),
        members.view(np.uint64),
        runs.first.view(np.uint64),
        runs.token.view(np.uint32),
        runs.activity,
        np.full(tokens, SILENT),
        np.zeros(tokens // 64 + 1, np.uint64),
        first,
        token,
        activity,
    )
    return ClusterTokens(first, token[: first[-1]].view(np.int32), activity[: first[-1]])


@compiled
def _runs(
    component: U64,
    row: I32,
    position: I32,
    value: F32,
    positions: np.int32,
    sign: I8,
    threshold: F32,
    first: AnyArray,
    token: AnyArray,
    activity: AnyArray,
    fired: AnyArray,
) -> None:
    for i in range(len(token)):
        token[i] = row[i] * positions + position[i]
    # Unsigned indices spare the check for negative ones, which costs as much as the rest.
    begin, one, size = np.uint64(0), np.uint64(1), np.uint64(len(token))
    for at in range(len(fired)):
        number = np.uint64(at)
        end = begin
        while end < size and component[end] == number:
            end += one
        count, least = 0, threshold[at]
        for i in range(begin, end):
            shown = value[i]
            if sign[at] < 0 or (sign[at] == 0 and shown < 0):
                shown = -shown
            fires = shown > least
            activity[i] = shown if fires else np.float32(-np.inf)
            count += fires
        fired[at] = count
        first[at + 1] = end
        begin = end


@compiled
def _entries(members: I64, run_first: I64) -> int:
    total = 0
    for member in members:
        total += run_first[member + 1] - run_first[member]
    return total


@compiled
def _cluster_tokens(
    member_first: U64,
    members: U64,
    run_first: U64,
    run_token: U32,
    run_activity: F32,
    strongest: F32,
    touched: U64,
    first: AnyArray,
    token: U32,
    activity: F32,
) -> None:
    # Unsigned indices spare the check for negative ones, which costs as much as the rest.
    none, one, silent = np.uint64(0), np.uint64(1), np.float32(-np.inf)
    last = np.uint64(len(members)) - one
    n = np.uint64(0)
    for cluster in range(len(member_first) - 1):
        begin, end = member_first[cluster], member_first[cluster + 1]
        if end == begin + one:
            for i in range(run_first[members[begin]], run_first[members[begin] + one]):
                token[n] = run_token[i]
                activity[n] = run_activity[i]
                n += np.uint64(run_activity[i] > silent)
        elif end > begin:
            for j in range(begin, end):
                ahead = members[min(j + _AHEAD, last)]
                for edge in (run_first[ahead], run_first[ahead + one]):
                    prefetch(run_token, edge)
                    prefetch(run_activity, edge)
                for i in range(run_first[members[j]], run_first[members[j] + one]):
                    at = run_token[i]
                    strongest[at] = max(strongest[at], run_activity[i])
                    touched[at >> np.uint32(6)] |= one << np.uint64(at & np.uint32(63))
            for word in range(len(touched)):
                bits = touched[word]
                touched[word] = none
                base = np.uint64(word * 64)
                while bits != none:
                    place = base + np.uint64(lowest(bits))
                    bits &= bits - one
                    token[n] = place
                    activity[n] = strongest[place]
                    n += np.uint64(strongest[place] > silent)
                    strongest[place] = silent
        first[cluster + 1] = n
