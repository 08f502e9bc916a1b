"""From components to clusters: where each cluster fires, and how strongly.

Everything here works on runs: a batch's activations are sorted by component, so a component's are
one run of them; a cluster's tokens are again one run, in the order of the text.
"""

from dataclasses import dataclass

import numpy as np

from consumers.activations.engine import Activations
from consumers.compiled import compiled
from streams.arrays import F32, I8, I32, I64, U8, U32, U64, AnyArray
from streams.plan import Plan

SILENT = np.float32(-np.inf)
# Multiplied with a power of two, this leaves its exponent's place in the table in the top six bits.
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A batch's activations as runs: component c has entries first[c] to first[c + 1] - 1.

    token: row * positions + position. value: signed. activity: the value with its source's sign
    applied, minus infinity where that does not exceed the threshold. fired [component]: how many
    entries do.
    """

    positions: int
    first: I64
    token: I32
    value: F32
    activity: F32
    fired: I64


@dataclass(frozen=True, slots=True, eq=False)
class ClusterTokens:
    """Where clusters fire: cluster c at tokens first[c] to first[c + 1] - 1, ascending.

    activity: that of the strongest member.
    """

    first: I64
    token: I32
    activity: F32


def runs_of(plan: Plan, activations: Activations, positions: int) -> Runs:
    """Return the activations of a batch with rows of so many positions as runs."""
    counts = np.bincount(activations.component, minlength=plan.components)
    first = np.r_[0, np.cumsum(counts)]
    token = activations.row * np.int32(positions) + activations.position
    activity = np.empty(len(token), np.float32)
    fired = np.zeros(plan.components, np.int64)
    _activity(first, activations.value, plan.sign, plan.threshold, activity, fired)
    return Runs(positions, first, token, activations.value, activity, fired)


def cluster_tokens(member_first: I64, members: I64, runs: Runs, tokens: int) -> ClusterTokens:
    """Return where clusters fire and their maxima over members, from sparse activations.

    member_first [cluster + 1] and members: the components of each cluster. tokens: how many the
    batch has, padding included.
    """
    lengths = np.diff(runs.first)[members]
    first = np.zeros(len(member_first), np.int64)
    token = np.empty(int(lengths.sum()) + 1, np.uint32)
    activity = np.empty(len(token), np.float32)
    _cluster_tokens(
        member_first.view(np.uint64),
        members.view(np.uint64),
        runs.first.view(np.uint64),
        runs.token.view(np.uint32),
        runs.activity,
        np.full(tokens, SILENT, np.float32),
        np.zeros(tokens // 64 + 1, np.uint64),
        _places(),
        first,
        token,
        activity,
    )
    return ClusterTokens(first, token[: first[-1]].view(np.int32), activity[: first[-1]])


def _places() -> U8:
    """Return the table from the product with the De Bruijn number to the exponent."""
    powers = np.uint64(1) << np.arange(64, dtype=np.uint64)
    places = np.zeros(64, np.uint8)
    places[((powers * _DE_BRUIJN) >> np.uint64(58)).astype(np.int64)] = np.arange(64)
    return places


@compiled
def _activity(
    first: I64, value: F32, sign: I8, threshold: F32, activity: F32, fired: AnyArray
) -> None:
    for component in range(len(first) - 1):
        count = 0
        for i in range(first[component], first[component + 1]):
            shown = value[i]
            if sign[component] < 0 or (sign[component] == 0 and shown < 0):
                shown = -shown
            fires = shown > threshold[component]
            activity[i] = shown if fires else np.float32(-np.inf)
            count += fires
        fired[component] = count


@compiled
def _cluster_tokens(
    member_first: U64,
    members: U64,
    run_first: U64,
    run_token: U32,
    run_activity: F32,
    strongest: F32,
    touched: U64,
    places: U8,
    first: AnyArray,
    token: U32,
    activity: F32,
) -> None:
    # Unsigned indices spare the check for negative ones, which costs as much as the rest.
    none, one, silent = np.uint64(0), np.uint64(1), np.float32(-np.inf)
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
                for i in range(run_first[members[j]], run_first[members[j] + one]):
                    at = run_token[i]
                    strongest[at] = max(strongest[at], run_activity[i])
                    touched[at >> np.uint32(6)] |= one << np.uint64(at & np.uint32(63))
            for word in range(len(touched)):
                bits = touched[word]
                if bits == none:
                    continue
                touched[word] = none
                base = np.uint64(word * 64)
                while bits != none:
                    lowest = bits & (~bits + one)
                    place = base + np.uint64(places[(lowest * _DE_BRUIJN) >> np.uint64(58)])
                    token[n] = place
                    activity[n] = strongest[place]
                    n += np.uint64(strongest[place] > silent)
                    strongest[place] = silent
                    bits ^= lowest
        first[cluster + 1] = n
