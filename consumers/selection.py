"""What one batch adds to a run: its counts and sums, and the hits that may matter.

Pure functions from sparse activations to a tally and candidate hits, over all clusters at once.
The oracle computes the same numbers one cluster at a time; tests hold the two together.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from consumers.engine import Activations
from consumers.membership import Entries, Membership, entries
from streams.arrays import F32, I32, I64, AnyArray, Bool
from streams.corpus import TokenBatch
from streams.errors import OverflowingSumError
from streams.hits import Hits, ranges
from streams.plan import Plan, activity_of


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What a batch adds, sparse and in global numbers, addresses and clusters ascending."""

    tokens: int
    rows: int
    count_at: I64
    count: I64
    cluster: I64
    sum: I64
    low: F32
    high: F32


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """A batch's tally and candidates: hits without rows yet; ``group`` is each one's entries."""

    tally: Tally
    candidates: Hits
    group: I64
    group_first: I64
    entries: Entries


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """Clusters at the tokens where they fire, sorted by cluster, row, position."""

    cluster: I64
    row: I32
    position: I32
    activity: F32


def valid_tokens(plan: Plan, batch: TokenBatch) -> Bool:
    """Return which tokens count, [row, position]: no padding, no masked id, no masked position."""
    valid = batch.mask & ~np.isin(batch.ids, plan.run.masked_ids)
    positions = np.arange(batch.ids.shape[1])
    return valid & ~np.isin(positions, plan.run.masked_positions)


def select(
    plan: Plan, membership: Membership, batch: TokenBatch, valid: Bool, activations: Activations
) -> Selection:
    """Return what a batch adds. Raises OverflowingSumError if an activity is beyond fixed point."""
    activity, fires = activity_of(plan, activations.component, activations.value)
    table = entries(membership, activations, activity, fires)
    tokens = _tokens(table)
    row_first = _starts(tokens.cluster, tokens.row)
    counts = [
        _counted(plan.at_component, activations.component[fires]),
        _counted(plan.at_tokens, tokens.cluster),
        _counted(plan.at_rows, tokens.cluster[row_first]),
        _binned(plan, tokens),
        *_coactivations(plan, tokens, valid.shape),
        *_pairs(plan, table, valid.shape),
    ]
    at = np.concatenate([a for a, _ in counts])
    order = np.argsort(at)
    count = np.concatenate([c for _, c in counts])
    cluster_first = _starts(tokens.cluster)
    tally = Tally(
        tokens=int(valid.sum()),
        rows=int(valid.any(axis=1).sum()),
        count_at=at[order],
        count=count[order],
        cluster=tokens.cluster[cluster_first],
        sum=_reduced(np.add, _fixed(tokens.activity, plan.run.sum_bits), cluster_first),
        low=_reduced(np.minimum, tokens.activity, cluster_first),
        high=_reduced(np.maximum, tokens.activity, cluster_first),
    )
    group_first = _starts(table.cluster, table.row)
    candidates = _candidates(plan, batch, valid, tokens, row_first)
    group = _group_of(table, group_first, candidates, plan.criteria)
    return Selection(tally, candidates, group, np.r_[group_first, len(table.cluster)], table)


def with_rows(selection: Selection, which: AnyArray) -> Hits:
    """Return the candidates ``which`` with the rows of every member."""
    chosen = {
        name: getattr(selection.candidates, name)[which]
        for name in Hits.__dataclass_fields__
        if name not in ("rows", "member", "position", "value")
    }
    group = selection.group[which]
    first = selection.group_first[group]
    rows = (selection.group_first[group + 1] - first).astype(np.int32)
    at = ranges(first, rows)
    hit = np.repeat(np.arange(len(rows)), rows)
    table = selection.entries
    at = at[np.lexsort((table.position[at], table.member[at], hit))]
    return Hits(
        **chosen,
        rows=rows,
        member=table.member[at],
        position=table.position[at],
        value=table.value[at],
    )


def _tokens(table: Entries) -> _Tokens:
    fires = table.fires
    cluster, row, position = table.cluster[fires], table.row[fires], table.position[fires]
    first = _starts(cluster, row, position)
    activity = _reduced(np.maximum, table.activity[fires], first)
    return _Tokens(cluster[first], row[first], position[first], activity)


def _starts(*columns: AnyArray) -> I64:
    """Return where runs of equal values begin."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    changes = np.zeros(len(columns[0]), dtype=bool)
    changes[0] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def _reduced(operation: np.ufunc, values: AnyArray, starts: I64) -> AnyArray:
    return operation.reduceat(values, starts) if len(starts) else values[:0]


def _counted(addresses: I64, which: AnyArray) -> tuple[I64, I64]:
    """Return the addresses of the items in ``which`` and how often each occurs."""
    occurs = np.bincount(which, minlength=1)
    found = np.flatnonzero(occurs)
    return addresses[found], occurs[found]


def _binned(plan: Plan, tokens: _Tokens) -> tuple[I64, I64]:
    bins = np.searchsorted(plan.run.edges, tokens.activity, side="right")
    occurs = np.bincount(tokens.cluster * plan.bins + bins, minlength=1)
    found = np.flatnonzero(occurs)
    return plan.at_bins[found // plan.bins] + found % plan.bins, occurs[found]


def _fixed(activity: F32, bits: int) -> I64:
    """Return activities in fixed point, each rounded half to even."""
    scaled = np.rint(activity.astype(np.float64) * 2.0**bits)
    if len(scaled) and float(scaled.max()) * len(scaled) >= 2.0**62:
        raise OverflowingSumError(
            f"an activity of {activity.max():g} is too large for sums in units of 2**-{bits}: "
            "start a new run with fewer sum_bits"
        )
    return scaled.astype(np.int64)


def _coactivations(plan: Plan, tokens: _Tokens, shape: tuple[int, ...]) -> list[tuple[I64, I64]]:
    """Return the counters of clusters of one clustering that fire at the same token."""
    found = []
    for clustering in plan.clusterings:
        if not clustering.coactivation:
            continue
        first, stop = np.searchsorted(tokens.cluster, (clustering.first, clustering.stop))
        size = clustering.stop - clustering.first
        local = tokens.cluster[first:stop] - clustering.first
        at = tokens.row[first:stop].astype(np.int64) * shape[1] + tokens.position[first:stop]
        ones = np.ones(len(local), np.int32)
        begins = np.r_[0, np.cumsum(np.bincount(local, minlength=size))]
        fires = sparse.csr_array((ones, at, begins), shape=(size, shape[0] * shape[1]))
        both = (fires @ fires.T).tocoo()
        other = both.row != both.col
        a, b = both.row[other] + clustering.first, both.col[other]
        found.append((plan.at_coactivation[a] + b, both.data[other].astype(np.int64)))
    return found


def _pairs(plan: Plan, table: Entries, shape: tuple[int, ...]) -> list[tuple[I64, I64]]:
    """Return the counters of members of one cluster that fire at the same token."""
    found = []
    first = np.searchsorted(table.cluster, np.arange(plan.clusters + 1))
    for cluster in np.flatnonzero((plan.at_pairs >= 0) & (np.diff(first) > 0)):
        part = slice(first[cluster], first[cluster + 1])
        fires = table.fires[part]
        size = int(plan.member_first[cluster + 1] - plan.member_first[cluster])
        token = table.row[part][fires].astype(np.int64) * shape[1] + table.position[part][fires]
        distinct, at = np.unique(token, return_inverse=True)
        dense = np.zeros((size, len(distinct)), np.float32)
        dense[table.member[part][fires], at] = 1
        both = np.rint(dense @ dense.T).astype(np.int64)[np.triu_indices(size)]
        some = np.flatnonzero(both)
        found.append((plan.at_pairs[cluster] + some, both[some]))
    return found


def _candidates(
    plan: Plan, batch: TokenBatch, valid: Bool, tokens: _Tokens, row_first: I64
) -> Hits:
    """Return one hit per criterion, cluster and row that fires under it, without rows."""
    peaks = {"maximum": _peaks, "last": _lasts}
    parts = []
    for number, criterion in enumerate(plan.run.criteria):
        at = peaks[criterion](tokens, row_first, valid)
        parts.append((tokens.cluster[at] * plan.criteria + number, at))
    table = np.concatenate([t for t, _ in parts])
    at = np.concatenate([a for _, a in parts])
    row = tokens.row[at]
    keys = np.ascontiguousarray(batch.keys).view(">u8").astype(np.uint64)
    none = np.zeros(0, np.int32)
    return Hits(
        table=table.astype(np.uint32),
        score=tokens.activity[at],
        sample_high=keys[row, 0],
        sample_low=keys[row, 1],
        peak=tokens.position[at],
        partition=np.full(len(at), batch.partition, np.int32),
        sequence=np.full(len(at), batch.sequence, np.int64),
        row=row,
        rows=np.zeros(len(at), np.int32),
        member=none,
        position=none,
        value=none.astype(np.float32),
    )


def _peaks(tokens: _Tokens, row_first: I64, valid: Bool) -> I64:
    """Return the first token of each cluster and row at which activity is largest."""
    largest = _reduced(np.maximum, tokens.activity, row_first)
    lengths = np.diff(np.r_[row_first, len(tokens.cluster)])
    places = np.arange(len(tokens.cluster))
    peak = tokens.activity == np.repeat(largest, lengths)
    first: I64 = _reduced(np.minimum, np.where(peak, places, len(places)), row_first)
    return first


def _lasts(tokens: _Tokens, row_first: I64, valid: Bool) -> I64:
    """Return the tokens that are the last valid one of their row."""
    last = valid.shape[1] - 1 - np.argmax(valid[:, ::-1], axis=1)
    return np.flatnonzero(tokens.position == last[tokens.row])


def _group_of(table: Entries, group_first: I64, candidates: Hits, criteria: int) -> I64:
    """Return which (cluster, row) group of entries each candidate belongs to."""
    row = int(table.row.max()) + 1 if len(table.row) else 1
    groups = table.cluster[group_first] * row + table.row[group_first]
    wanted = (candidates.table.astype(np.int64) // criteria) * row + candidates.row
    return np.searchsorted(groups, wanted)
