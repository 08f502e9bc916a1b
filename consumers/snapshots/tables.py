"""Tables of a snapshot from the states of a shard's buckets: statistics, examples, totals."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from consumers.plan import Plan
from consumers.run_clusters import activity_of
from consumers.snapshots.ranked_hits import ranking_of, ranks, shard_hits, shown_scores
from consumers.statistics.state_view import StateView
from consumers.statistics.statistic import name_of
from streams.arrays import F32, I32, I64, AnyArray
from streams.records.corpus import TokenForms
from streams.records.hits import Hits
from streams.records.partials import BucketState
from streams.snapshots.tables import HITS, TOTALS, VOCABULARY

_HITS_PER_PIECE = 2**15


def statistics_tables(plan: Plan, states: Sequence[BucketState]) -> Iterator[tuple[str, pa.Table]]:
    """Yield the tables of the run's statistics by name, of buckets that follow one another."""
    for each in plan.statistics:
        view = StateView(plan, plan.layout, states, name_of(each))
        found = each.snapshot(view)
        for form in each.tables:
            yield form.name, found[form.name]


def hits_tables(plan: Plan, states: Sequence[BucketState]) -> Iterator[pa.Table]:
    """Yield all hits of the states in rank order, some buckets at a time."""
    group: list[BucketState] = []
    for state in states:
        group.append(state)
        if sum(len(each.hits) for each in group) >= _HITS_PER_PIECE:
            yield hits_table(plan, shard_hits(plan, group))
            group = []
    if group:
        yield hits_table(plan, shard_hits(plan, group))


def hits_table(plan: Plan, hits: Hits) -> pa.Table:
    """Return ranked hits as a table; the cluster's own row is worked out from its members'."""
    of_hit, positions, activity = cluster_rows(plan, hits)
    bounds = np.r_[0, np.cumsum(np.bincount(of_hit, minlength=len(hits)))]
    entries = np.r_[0, np.cumsum(hits.rows, dtype=np.int64)]
    names = pa.array(plan.run.ranking_names, pa.string())
    columns = {
        "cluster": hits.table // plan.tables,
        "ranking": names.take(pa.array(ranking_of(plan, hits)[1])),
        "rank": ranks(plan, hits),
        "score": shown_scores(plan, hits, of_hit, positions, activity),
        "sample": sample_keys(np.stack([hits.sample_high, hits.sample_low], axis=1).astype(">u8")),
        "peak": hits.peak,
        "partition": hits.partition,
        "sequence": hits.sequence,
        "row": hits.row,
        "positions": _lists(bounds, positions, pa.int32()),
        "activations": _lists(bounds, activity, pa.float32()),
        "member_indices": _lists(entries, hits.member, pa.int32()),
        "member_positions": _lists(entries, hits.position, pa.int32()),
        "member_activations": _lists(entries, hits.value, pa.float32()),
    }
    return HITS.table(columns)


def sample_keys(keys: AnyArray) -> pa.Array:
    """Return keys [sample, ...] of 16 bytes each as a column."""
    data = pa.py_buffer(np.ascontiguousarray(keys))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, data])


def _lists(bounds: AnyArray, values: AnyArray, kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(values, kind))


def cluster_rows(plan: Plan, hits: Hits) -> tuple[I64, I32, F32]:
    """Return, hit by hit, the positions at which the cluster fires and its activity there."""
    hit = np.repeat(np.arange(len(hits)), hits.rows)
    first = plan.member_first[hits.table.astype(np.int64) // plan.tables]
    component = plan.members[np.repeat(first, hits.rows) + hits.member]
    activity, fires = activity_of(plan, component, hits.value)
    position = hits.position
    if not fires.all():
        hit, position, activity = hit[fires], position[fires], activity[fires]
    cell = hit * plan.run.context + position
    # Rows of a single member are in order, and nothing is to be compared.
    if (cell[1:] > cell[:-1]).all():
        return hit, position, activity
    order = np.argsort(cell, kind="stable")
    cell, activity = cell[order], activity[order]
    begins = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
    hit, position = np.divmod(cell[begins], plan.run.context)
    return hit, position.astype(np.int32), np.maximum.reduceat(activity, begins)


def totals_table(state: BucketState) -> pa.Table:
    """Return the totals, which every bucket of the run knows."""
    batches = int((state.chain + 1).sum())
    columns = {
        "tokens": [state.tokens],
        "rows": [state.rows],
        "batches": [batches],
        "refused": [state.refused],
    }
    return TOTALS.table(columns)


def vocabulary_table(tokens: Sequence[bytes], forms: Sequence[TokenForms] = ()) -> pa.Table:
    """Return the bytes of every token id. forms: those at the beginning, at the end, and alone."""
    first, last, alone = (form.over(tokens) for form in forms or (TokenForms(),) * 3)
    columns = {"id": np.arange(len(tokens)), "token": list(tokens)}
    return VOCABULARY.table(columns | {"first": first, "last": last, "alone": alone})
