"""Co-activation: counts of tokens at which clusters, or members of one cluster, are both active."""

import numpy as np
from scipy import sparse

from consumers.compiled import compiled
from consumers.plan import ClusteringPlan, Plan
from consumers.selection.membership import SILENT, ClusterTokens, Runs
from streams.arrays import F32, I32, I64, AnyArray


def coactivations(
    clustering: ClusteringPlan, at_coactivation: I64, tokens: ClusterTokens, width: int
) -> tuple[I64, I64]:
    """Return counters of pairs of clusters that fire at the same of ``width`` tokens, and counts.

    Counters ascend.
    """
    first = tokens.first[clustering.first : clustering.stop + 1]
    at = tokens.token[first[0] : first[-1]]
    ones = np.ones(len(at), np.int32)
    fires = sparse.csr_array((ones, at, first - first[0]), shape=(len(first) - 1, width))
    product = fires @ fires.T
    product.sort_indices()
    both = product.tocoo()
    other = both.row != both.col
    a, b = both.row[other] + clustering.first, both.col[other]
    return at_coactivation[a] + b, both.data[other].astype(np.int64)


def member_pairs(plan: Plan, runs: Runs, tokens: int) -> tuple[I64, I64]:
    """Return counters of pairs of members of one cluster that co-activate, and their counts.

    Counters ascend.
    """
    if not (plan.at_pairs >= 0).any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sizes = np.diff(plan.member_first)
    ends = np.r_[0, np.cumsum(np.diff(runs.first)[plan.members])]
    active = np.diff(ends[plan.member_first]) > 0
    wanted = np.flatnonzero((plan.at_pairs >= 0) & active)
    most = sizes[wanted] * (sizes[wanted] + 1) // 2
    count_at, count = np.empty(most.sum(), np.int64), np.empty(most.sum(), np.int64)
    entries = int(np.diff(ends[plan.member_first])[wanted].max(initial=0))
    found = _member_pairs(
        wanted,
        plan.at_pairs,
        plan.member_first,
        plan.members,
        runs.first,
        runs.token,
        runs.activity,
        SILENT,
        np.full(tokens, -1, np.int32),
        np.empty(entries, np.int32),
        np.empty(entries, np.int32),
        np.zeros(int(most.max(initial=0)), np.int64),
        count_at,
        count,
    )
    return count_at[:found], count[:found]


@compiled
def _member_pairs(
    wanted: I64,
    at_pairs: I64,
    member_first: I64,
    members: I64,
    run_first: I64,
    run_token: I32,
    run_activity: F32,
    silent: np.float32,
    last: I32,
    before: I32,
    member: I32,
    pairs: AnyArray,
    count_at: AnyArray,
    count: AnyArray,
) -> int:
    n = 0
    for cluster in wanted:
        begin, size = member_first[cluster], member_first[cluster + 1] - member_first[cluster]
        entries = 0
        for b in range(size):
            component = members[begin + b]
            for i in range(run_first[component], run_first[component + 1]):
                if run_activity[i] > silent:
                    # Each token's firing members hang together in a list, the latest first.
                    token = run_token[i]
                    member[entries], before[entries] = b, last[token]
                    last[token] = entries
                    entries += 1
                    other = last[token]
                    while other >= 0:
                        a = member[other]
                        pairs[a * size - a * (a - 1) // 2 + b - a] += 1
                        other = before[other]
        for b in range(size):
            component = members[begin + b]
            for i in range(run_first[component], run_first[component + 1]):
                last[run_token[i]] = -1
        for pair in range(size * (size + 1) // 2):
            if pairs[pair]:
                count_at[n], count[n] = at_pairs[cluster] + pair, pairs[pair]
                pairs[pair] = 0
                n += 1
    return n
