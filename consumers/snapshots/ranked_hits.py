"""Hits as a table has them: in rank order, no sample twice by a ranking, scores to show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from consumers.plan import Plan
from streams.arrays import F32, I32, I64
from streams.records.hits import Hits, join, rank, take
from streams.records.partials import BucketState


def shard_hits(plan: Plan, states: Sequence[BucketState]) -> Hits:
    """Return all hits of the states, tables numbered through the run, in rank order."""
    return join([_global(plan, state) for state in states])


def _global(plan: Plan, state: BucketState) -> Hits:
    columns: dict[str, Any] = {
        name: getattr(state.hits, name) for name in Hits.__dataclass_fields__
    }
    base = plan.bucket_first[state.bucket] * plan.tables
    columns["table"] = (state.hits.table + base).astype(np.uint32)
    moved = Hits(**columns)
    order = rank(moved)
    in_order = bool((order[1:] > order[:-1]).all())
    ordered = moved if in_order else take(moved, order)
    return ordered if plan.tables == len(plan.rankings) else _once_by_ranking(plan, ordered)


def _once_by_ranking(plan: Plan, hits: Hits) -> Hits:
    """Return ordered hits without those whose sample stands in an earlier table of its ranking.

    The same sample may be computed to other last bits elsewhere, and fall into another table.
    """
    group = np.add(*ranking_of(plan, hits))
    at = np.arange(len(hits))
    order = np.lexsort((at, hits.sample_low, hits.sample_high, group))
    columns = group[order], hits.sample_high[order], hits.sample_low[order]
    same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    if not same.any():
        return hits
    return take(hits, np.sort(order[np.r_[True, ~same]]))


def ranking_of(plan: Plan, hits: Hits) -> tuple[I64, I64]:
    """Return, per hit, the number of its cluster's first ranking and which ranking it is by.

    Rankings are numbered cluster by cluster, those of a run for each.
    """
    cluster, table = np.divmod(hits.table.astype(np.int64), plan.tables)
    sizes = [given.stop - given.first for given in plan.rankings]
    ranking: I64 = np.repeat(np.arange(len(sizes)), sizes)[table]
    return cluster * len(sizes), ranking


def ranks(plan: Plan, hits: Hits) -> I64:
    """Return the place of each ordered hit among those of its cluster and ranking, from 0 on."""
    group = np.add(*ranking_of(plan, hits))
    begins = np.flatnonzero(np.r_[True, group[1:] != group[:-1]][: len(hits)])
    starts = np.repeat(begins, np.diff(np.r_[begins, len(hits)]))
    found: I64 = np.arange(len(hits)) - starts
    return found


def shown_scores(plan: Plan, hits: Hits, of_hit: I64, positions: I32, activity: F32) -> F32:
    """Return what each hit's ranking shows as its score. The last three: the clusters' rows."""
    at_peak = np.zeros(len(hits), np.float32)
    peaks = positions == hits.peak[of_hit]
    at_peak[of_hit[peaks]] = activity[peaks]
    _, ranking = ranking_of(plan, hits)
    shown = np.empty(len(hits), np.float32)
    for number, given in enumerate(plan.rankings):
        its = np.flatnonzero(ranking == number)
        shown[its] = given.ranking.shown(hits.score[its], at_peak[its])
    return shown
