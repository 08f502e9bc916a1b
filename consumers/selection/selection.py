"""Selection: what one batch adds to a run after the token mask, and the hits that may matter.

Pure functions from sparse activations to a tally and candidate hits, over all clusters at once.
The oracle computes the same numbers one cluster at a time; tests hold the two together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.activations.engine import Activations
from consumers.compiled import compiled
from consumers.plan import Plan
from consumers.rankings.ranking import Candidates as RankedRows
from consumers.run_clusters import RunClusters
from consumers.selection.batch_tally import BatchTally, batch_tally
from consumers.selection.firing_rows import firing_rows
from consumers.selection.membership import SILENT, cluster_tokens, runs_of
from consumers.statistics.activity import ClusterActivity, ClusterTokens, Runs
from streams.arrays import F32, I32, I64, U32, U64, AnyArray, Bool
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """One per ranking, cluster and row that scores high enough under it: its rank.

    sample_high and sample_low: the row's sample key.
    """

    table: U32
    score: F32
    sample_high: U64
    sample_low: U64
    row: I32
    peak: I32

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """A batch's tally and candidates, and what the rows of these are made of."""

    tally: BatchTally
    candidates: Candidates
    plan: Plan
    batch: TokenBatch
    runs: Runs
    tokens: ClusterTokens


def valid_tokens(plan: Plan, batch: TokenBatch) -> Bool:
    """Return which tokens count, [row, position]: no padding, no masked id, no masked position."""
    valid = batch.mask & ~np.isin(batch.ids, plan.run.masked_ids)
    positions = np.arange(batch.ids.shape[1])
    return valid & ~np.isin(positions, plan.run.masked_positions)


def select(
    plan: Plan,
    batch: TokenBatch,
    valid: Bool,
    activations: Activations,
    least: F32 | None = None,
) -> Selection:
    """Return what a batch adds.

    least [table]: scores below it are no candidates; None for all. Raises OverflowingSumError if an
    activity is beyond fixed point.
    """
    if least is None:
        least = np.full(plan.clusters * plan.tables, SILENT, np.float32)
    activity = cluster_activity(plan, batch, valid, activations)
    tally = batch_tally(plan, activity)
    lowest = least.reshape(plan.clusters, plan.tables)
    found = [
        each.ranking.candidates(activity, lowest[:, each.first : each.stop])
        for each in plan.rankings
    ]
    candidates = candidates_of(plan, batch, found)
    return Selection(tally, candidates, plan, batch, activity.runs, activity.tokens)


def cluster_activity(
    plan: RunClusters, batch: TokenBatch, valid: Bool, activations: Activations
) -> ClusterActivity:
    """Return where clusters fire in a batch, and in which rows."""
    runs = runs_of(plan, activations, valid.shape[1])
    tokens = cluster_tokens(plan.member_first, plan.members, runs, valid.size)
    rows = firing_rows(tokens, *valid.shape)
    return ClusterActivity(plan, batch, valid, runs, tokens, rows, measured=activations.measured)


def with_rows(selection: Selection, which: AnyArray) -> Hits:
    """Return the candidates ``which`` as hits, with the rows of every member."""
    plan, runs, candidates = selection.plan, selection.runs, selection.candidates
    row, table = candidates.row[which], candidates.table[which]
    cluster = (table // np.uint32(plan.tables)).astype(np.int64)
    sizes = np.diff(plan.member_first)[cluster]
    begin, length = np.empty(sizes.sum(), np.int64), np.empty(sizes.sum(), np.int32)
    rows = np.empty(len(which), np.int32)
    total = _find_rows(
        cluster,
        row,
        runs.positions,
        plan.member_first,
        plan.members,
        runs.first,
        runs.token,
        begin,
        length,
        rows,
    )
    member, position = np.empty(total, np.int32), np.empty(total, np.int32)
    value = np.empty(total, np.float32)
    _fill_rows(
        row, runs.positions, sizes, begin, length, runs.token, runs.value, member, position, value
    )
    return Hits(
        table=table,
        score=candidates.score[which],
        sample_high=candidates.sample_high[which],
        sample_low=candidates.sample_low[which],
        peak=candidates.peak[which],
        partition=np.full(len(which), selection.batch.partition, np.int32),
        sequence=np.full(len(which), selection.batch.sequence, np.int64),
        row=row,
        rows=rows,
        member=member,
        position=position,
        value=value,
    )


def candidates_of(plan: Plan, batch: TokenBatch, ranked: Sequence[RankedRows]) -> Candidates:
    """Return as candidates what each ranking of a run found."""
    parts = []
    for given, found in zip(plan.rankings, ranked, strict=True):
        table = found.cluster * np.uint32(plan.tables) + np.uint32(given.first)
        parts.append((table if found.table is None else table + found.table, *found[1:3]))
    table, score, token = (
        columns[0] if len(columns) == 1 else np.concatenate(columns)
        for columns in zip(*parts, strict=True)
    )
    positions = np.int32(batch.ids.shape[1])
    row = token // positions
    keys = np.ascontiguousarray(batch.keys).view(">u8").astype(np.uint64)
    return Candidates(
        table=table,
        score=score,
        sample_high=keys[row, 0],
        sample_low=keys[row, 1],
        row=row,
        peak=token - row * positions,
    )


@compiled
def _find_rows(
    cluster: I64,
    row: I32,
    positions: int,
    member_first: I64,
    members: I64,
    first: I64,
    token: I32,
    begin: AnyArray,
    length: AnyArray,
    rows: AnyArray,
) -> int:
    """Find where the row of each hit's each member begins in ``token``, and how long it is."""
    n, total = 0, 0
    for hit in range(len(cluster)):
        start, stop, before = row[hit] * positions, (row[hit] + 1) * positions, total
        for j in range(member_first[cluster[hit]], member_first[cluster[hit] + 1]):
            low, end = first[members[j]], first[members[j] + 1]
            high = end
            while low < high:
                middle = (low + high) >> 1
                if token[middle] < start:
                    low = middle + 1
                else:
                    high = middle
            while high < end and token[high] < stop:
                high += 1
            begin[n], length[n] = low, high - low
            total += high - low
            n += 1
        rows[hit] = total - before
    return total


@compiled
def _fill_rows(
    row: I32,
    positions: int,
    sizes: I64,
    begin: I64,
    length: I32,
    token: I32,
    value: F32,
    member: AnyArray,
    position: AnyArray,
    values: AnyArray,
) -> None:
    n, to = 0, 0
    for hit in range(len(row)):
        for number in range(sizes[hit]):
            for at in range(begin[n], begin[n] + length[n]):
                member[to], values[to] = number, value[at]
                position[to] = token[at] - row[hit] * positions
                to += 1
            n += 1
