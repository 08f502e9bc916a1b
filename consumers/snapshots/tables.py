"""From the states of a shard's buckets to the tables of a snapshot, dead features among them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from consumers.plan import Plan, activity_of
from consumers.snapshots.labels import (
    cluster_labels,
    clustering_of,
    dropped_components,
    dropped_labels,
    member_labels,
    source_of,
)
from streams.arrays import F32, I32, I64, AnyArray
from streams.records.corpus import TokenForms
from streams.records.hits import Hits, join, rank, take
from streams.records.partials import BucketState
from streams.snapshots.tables import (
    CLUSTERS,
    COACTIVATION,
    FEATURES,
    HITS,
    MEMBER_COACTIVATION,
    TOTALS,
    VOCABULARY,
    TableForm,
)

_HITS_PER_PIECE = 2**15


def table_of(form: TableForm, columns: dict[str, Any]) -> pa.Table:
    """Return a table of exactly the form's columns, cast to its types."""
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for field in form.schema
        for column in [columns[field.name]]
    ]
    return pa.Table.from_arrays(arrays, schema=form.schema)


def clusters_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the row of every cluster of the states' buckets, which follow one another."""
    clusters = _clusters_of(plan, states)
    where = clustering_of(plan, clusters)
    fired = _joined([_counts(plan, s, plan.at_tokens, 1) for s in states])
    histogram = _joined([_counts(plan, s, plan.at_bins, plan.bins) for s in states])
    bounds = np.arange(len(clusters) + 1) * plan.bins
    any_fired = fired[:, 0] > 0
    sums = _joined([s.sums for s in states])
    columns = {
        "cluster": np.asarray(clusters),
        "clustering": pa.array([p.name for p in plan.clusterings], pa.string()).take(where),
        "iteration": np.array([p.iteration for p in plan.clusterings], np.int64)[where],
        "label": cluster_labels(plan, clusters),
        "members": member_labels(plan, clusters),
        "dropped_members": dropped_labels(plan, clusters),
        "firing_tokens": fired[:, 0],
        "firing_rows": _joined([_counts(plan, s, plan.at_rows, 1) for s in states])[:, 0],
        "activation_density": fired[:, 0] / max(states[0].tokens, 1),
        "activation_sum": sums,
        "mean_activation": sums / 2.0**plan.run.sum_bits / np.maximum(fired[:, 0], 1),
        "min_activation": np.where(any_fired, _joined([s.low for s in states]), np.float32(0)),
        "max_activation": np.where(any_fired, _joined([s.high for s in states]), np.float32(0)),
        "activation_histogram": _lists(bounds, histogram.reshape(-1), pa.int64()),
        "coactivation_counted": np.array([p.coactivation for p in plan.clusterings], bool)[where],
        "member_coactivation_counted": plan.at_pairs[clusters.start : clusters.stop] >= 0,
    }
    return table_of(CLUSTERS, columns)


def _clusters_of(plan: Plan, states: Sequence[BucketState]) -> range:
    first, last = plan.clusters_of(states[0].bucket), plan.clusters_of(states[-1].bucket)
    return range(first.start, last.stop)


def _joined(parts: list[AnyArray]) -> AnyArray:
    return np.concatenate(parts)


def _counts(plan: Plan, state: BucketState, at: I64, width: int) -> AnyArray:
    """Return ``width`` counters from each cluster's address on, [cluster, width]."""
    clusters = plan.clusters_of(state.bucket)
    base = at[clusters.start : clusters.stop] - plan.counter_first[state.bucket]
    counts: I64 = state.counts[base[:, None] + np.arange(width)]
    return counts


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


def shard_hits(plan: Plan, states: Sequence[BucketState]) -> Hits:
    """Return all hits of the states, tables numbered through the run, in rank order."""
    return join([_global(plan, state) for state in states])


def _global(plan: Plan, state: BucketState) -> Hits:
    columns: dict[str, Any] = {
        name: getattr(state.hits, name) for name in Hits.__dataclass_fields__
    }
    base = plan.bucket_first[state.bucket] * plan.criteria
    columns["table"] = (state.hits.table + base).astype(np.uint32)
    moved = Hits(**columns)
    order = rank(moved)
    in_order = bool((order[1:] > order[:-1]).all())
    return moved if in_order else take(moved, order)


def hits_table(plan: Plan, hits: Hits) -> pa.Table:
    """Return ranked hits as a table; the cluster's own row is worked out from its members'."""
    begins = np.flatnonzero(np.r_[True, hits.table[1:] != hits.table[:-1]][: len(hits)])
    starts = np.repeat(begins, np.diff(np.r_[begins, len(hits)]))
    of_hit, positions, activity = cluster_rows(plan, hits)
    bounds = np.r_[0, np.cumsum(np.bincount(of_hit, minlength=len(hits)))]
    entries = np.r_[0, np.cumsum(hits.rows, dtype=np.int64)]
    cluster, criterion = np.divmod(hits.table.astype(np.int64), plan.criteria)
    columns = {
        "cluster": cluster,
        "ranking": pa.array(plan.run.criteria, pa.string()).take(pa.array(criterion)),
        "rank": np.arange(len(hits)) - starts,
        "score": hits.score,
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
    return table_of(HITS, columns)


def sample_keys(keys: AnyArray) -> pa.Array:
    """Return keys [sample, ...] of 16 bytes each as a column."""
    data = pa.py_buffer(np.ascontiguousarray(keys))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, data])


def _lists(bounds: AnyArray, values: AnyArray, kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(values, kind))


def cluster_rows(plan: Plan, hits: Hits) -> tuple[I64, I32, F32]:
    """Return, hit by hit, the positions at which the cluster fires and its activity there."""
    hit = np.repeat(np.arange(len(hits)), hits.rows)
    first = plan.member_first[hits.table.astype(np.int64) // plan.criteria]
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


def coactivation_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the pairs of clusters, a < b, that co-activate; a's bucket holds them."""
    a, b, tokens = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for state in states:
        for cluster, others, counts in _rows_of(plan, state):
            later = np.flatnonzero((counts > 0) & (others > cluster))
            a.append(np.full(len(later), cluster))
            b.append(others[later])
            tokens.append(counts[later])
    columns = {"cluster_a": _joined(a), "cluster_b": _joined(b), "tokens": _joined(tokens)}
    return table_of(COACTIVATION, columns)


def _rows_of(plan: Plan, state: BucketState) -> Iterator[tuple[int, AnyArray, I64]]:
    base = plan.counter_first[state.bucket]
    for clustering in plan.clusterings:
        inside = plan.clusters_of(state.bucket)
        shared = range(max(clustering.first, inside.start), min(clustering.stop, inside.stop))
        if not clustering.coactivation or not shared:
            continue
        others = np.arange(clustering.first, clustering.stop)
        for cluster in shared:
            at = plan.at_coactivation[cluster] - base
            yield cluster, others, state.counts[at : at + len(others)]


def members_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the pairs of members of each cluster that co-activate."""
    parts: list[tuple[AnyArray, ...]] = []
    for state in states:
        base = plan.counter_first[state.bucket]
        inside = plan.clusters_of(state.bucket)
        for cluster in inside.start + np.flatnonzero(
            plan.at_pairs[inside.start : inside.stop] >= 0
        ):
            at = plan.at_pairs[cluster]
            size = int(plan.member_first[cluster + 1] - plan.member_first[cluster])
            a, b = np.triu_indices(size)
            counts = state.counts[at - base : at - base + len(a)]
            some = np.flatnonzero(counts)
            parts.append((np.full(len(some), cluster), a[some], b[some], counts[some]))
    columns = zip(*parts, strict=True) if parts else [[np.zeros(0, np.int64)]] * 4
    names = MEMBER_COACTIVATION.schema.names
    return table_of(
        MEMBER_COACTIVATION,
        {name: _joined(list(column)) for name, column in zip(names, columns, strict=True)},
    )


def features_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the features whose active tokens the states' buckets count."""
    none = np.zeros(0, np.int64)
    owned = [np.arange(*plan.owned_first[s.bucket : s.bucket + 2]) for s in states]
    numbers = _joined([none, *owned])
    fired = _joined([none, *(_owned_counts(plan, s) for s in states)])
    source = source_of(plan, numbers)
    dropped = dropped_components(plan)[numbers]
    columns = {
        "feature": numbers,
        "source": pa.array([s.name for s in plan.run.sources], pa.string()).take(source),
        "index": numbers - plan.component_first[source],
        "firing_tokens": fired,
        "activation_density": fired / max(states[0].tokens, 1),
        "dead": (fired == 0) & ~dropped,
        "dropped": dropped,
    }
    return table_of(FEATURES, columns)


def _owned_counts(plan: Plan, state: BucketState) -> I64:
    owned = slice(*plan.owned_first[state.bucket : state.bucket + 2])
    counts: I64 = state.counts[plan.at_component[owned] - plan.counter_first[state.bucket]]
    return counts


def totals_table(state: BucketState) -> pa.Table:
    """Return the totals, which every bucket of the run knows."""
    batches = int((state.chain + 1).sum())
    columns = {
        "tokens": [state.tokens],
        "rows": [state.rows],
        "batches": [batches],
        "refused": [state.refused],
    }
    return table_of(TOTALS, columns)


def vocabulary_table(tokens: Sequence[bytes], forms: Sequence[TokenForms] = ()) -> pa.Table:
    """Return the bytes of every token id. forms: those at the beginning, at the end, and alone."""
    first, last, alone = (form.over(tokens) for form in forms or (TokenForms(),) * 3)
    columns = {"id": np.arange(len(tokens)), "token": list(tokens)}
    return table_of(VOCABULARY, columns | {"first": first, "last": last, "alone": alone})
