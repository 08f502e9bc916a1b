"""From the states of a shard's buckets to the tables of a snapshot."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from streams.arrays import F32, I32, I64, AnyArray
from streams.hits import Hits, join, rank, take
from streams.partials import BucketState
from streams.plan import Plan, activity_of
from streams.snapshot import (
    CLUSTERS,
    COACTIVATION,
    COMPONENTS,
    HITS,
    MEMBER_COACTIVATION,
    TOTALS,
    VOCABULARY,
)


def table_of(schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    """Return a table of exactly the schema's columns, cast to its types."""
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for field in schema
        for column in [columns[field.name]]
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def clusters_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the row of every cluster of the states' buckets."""
    numbers = [c for state in states for c in plan.clusters_of(state.bucket)]
    where = [next(p for p in plan.clusterings if p.first <= c < p.stop) for c in numbers]
    fired = _joined([_counts(plan, s, plan.at_tokens, 1) for s in states])
    histogram = _joined([_counts(plan, s, plan.at_bins, plan.bins) for s in states])
    flat = pa.array(histogram.reshape(-1), pa.int64())
    bounds = pa.array(np.arange(len(numbers) + 1) * plan.bins, pa.int32())
    any_fired = fired[:, 0] > 0
    columns = {
        "cluster": numbers,
        "clustering": [p.name for p in where],
        "iteration": [p.iteration for p in where],
        "label": [p.labels[c - p.first] for p, c in zip(where, numbers, strict=True)],
        "members": [_labels(plan, plan.member_first, plan.members, c) for c in numbers],
        "dropped": [_dropped(plan, c) for c in numbers],
        "firing_tokens": fired[:, 0],
        "firing_rows": _joined([_counts(plan, s, plan.at_rows, 1) for s in states])[:, 0],
        "sum": _joined([s.sums for s in states]),
        "low": np.where(any_fired, _joined([s.low for s in states]), np.float32(0)),
        "high": np.where(any_fired, _joined([s.high for s in states]), np.float32(0)),
        "histogram": pa.ListArray.from_arrays(bounds, flat),
        "coactivation_counted": [p.coactivation for p in where],
        "pairs_counted": plan.at_pairs[numbers] >= 0,
    }
    return table_of(CLUSTERS, columns)


def _joined(parts: list[AnyArray]) -> AnyArray:
    return np.concatenate(parts)


def _counts(plan: Plan, state: BucketState, at: I64, width: int) -> AnyArray:
    """Return ``width`` counters from each cluster's address on, [cluster, width]."""
    clusters = plan.clusters_of(state.bucket)
    base = at[clusters.start : clusters.stop] - plan.counter_first[state.bucket]
    counts: I64 = state.counts[base[:, None] + np.arange(width)]
    return counts


def _labels(plan: Plan, first: I64, members: I64, cluster: int) -> list[str]:
    part = members[first[cluster] : first[cluster + 1]]
    return [plan.component_label(int(component)) for component in part]


def _dropped(plan: Plan, cluster: int) -> list[str]:
    live = set(_labels(plan, plan.member_first, plan.members, cluster))
    listed = _labels(plan, plan.listed_first, plan.listed, cluster)
    return [label for label in listed if label not in live]


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
    return take(moved, rank(moved))


def hits_table(plan: Plan, hits: Hits) -> pa.Table:
    """Return ranked hits as a table; the cluster's own row is worked out from its members'."""
    begins = np.r_[True, hits.table[1:] != hits.table[:-1]][: len(hits)]
    lengths = np.diff(np.r_[np.flatnonzero(begins), len(hits)])
    starts = np.repeat(np.flatnonzero(begins), lengths)
    cluster = hits.table.astype(np.int64) // plan.criteria
    of_hit, positions, activity = cluster_rows(plan, hits)
    bounds = np.r_[0, np.cumsum(np.bincount(of_hit, minlength=len(hits)))]
    entries = np.r_[0, np.cumsum(hits.rows)]
    key = np.stack([hits.sample_high, hits.sample_low], axis=1).astype(">u8").tobytes()
    columns = {
        "cluster": cluster,
        "criterion": [plan.run.criteria[c] for c in hits.table % np.uint32(plan.criteria)],
        "rank": np.arange(len(hits)) - starts,
        "score": hits.score,
        "sample": [key[at : at + 16] for at in range(0, len(key), 16)],
        "peak": hits.peak,
        "partition": hits.partition,
        "sequence": hits.sequence,
        "row": hits.row,
        "positions": _lists(bounds, positions, pa.int32()),
        "activity": _lists(bounds, activity, pa.float32()),
        "member": _lists(entries, hits.member, pa.int32()),
        "member_position": _lists(entries, hits.position, pa.int32()),
        "member_value": _lists(entries, hits.value, pa.float32()),
    }
    return table_of(HITS, columns)


def _lists(bounds: AnyArray, values: AnyArray, kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(values, kind))


def cluster_rows(plan: Plan, hits: Hits) -> tuple[I64, I32, F32]:
    """Return, hit by hit, the positions at which the cluster fires and its activity there."""
    hit = np.repeat(np.arange(len(hits)), hits.rows)
    cluster = hits.table.astype(np.int64)[hit] // plan.criteria
    component = plan.members[plan.member_first[cluster] + hits.member]
    activity, fires = activity_of(plan, component, hits.value)
    hit, position, activity = hit[fires], hits.position[fires], activity[fires]
    order = np.lexsort((position, hit))
    hit, position, activity = hit[order], position[order], activity[order]
    if not len(hit):
        return hit, position, activity
    first = np.flatnonzero(np.r_[True, (hit[1:] != hit[:-1]) | (position[1:] != position[:-1])])
    return hit[first], position[first], np.maximum.reduceat(activity, first)


def coactivation_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the pairs of clusters, a < b, that fire together; a's bucket holds them."""
    a, b, tokens = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for state in states:
        for cluster, others, counts in _rows_of(plan, state):
            later = np.flatnonzero((counts > 0) & (others > cluster))
            a.append(np.full(len(later), cluster))
            b.append(others[later])
            tokens.append(counts[later])
    return table_of(COACTIVATION, {"a": _joined(a), "b": _joined(b), "tokens": _joined(tokens)})


def _rows_of(plan: Plan, state: BucketState) -> Iterator[tuple[int, AnyArray, I64]]:
    base = plan.counter_first[state.bucket]
    for clustering in plan.clusterings:
        others = np.arange(clustering.first, clustering.stop)
        inside = plan.clusters_of(state.bucket)
        for cluster in range(max(others[0], inside.start), min(others[-1] + 1, inside.stop)):
            at = plan.at_coactivation[cluster]
            if at >= 0:
                yield cluster, others, state.counts[at - base : at - base + len(others)]


def members_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the pairs of members of each cluster that fire together."""
    parts: list[tuple[AnyArray, ...]] = []
    for state in states:
        base = plan.counter_first[state.bucket]
        for cluster in plan.clusters_of(state.bucket):
            at = plan.at_pairs[cluster]
            if at < 0:
                continue
            size = int(plan.member_first[cluster + 1] - plan.member_first[cluster])
            a, b = np.triu_indices(size)
            counts = state.counts[at - base : at - base + len(a)]
            some = np.flatnonzero(counts)
            parts.append((np.full(len(some), cluster), a[some], b[some], counts[some]))
    columns = zip(*parts, strict=True) if parts else [[np.zeros(0, np.int64)]] * 4
    names = MEMBER_COACTIVATION.names
    return table_of(
        MEMBER_COACTIVATION,
        {name: _joined(list(column)) for name, column in zip(names, columns, strict=True)},
    )


def components_table(plan: Plan, states: Sequence[BucketState]) -> pa.Table:
    """Return the components whose firings the states' buckets count."""
    numbers = _joined(
        [np.zeros(0, np.int64)]
        + [np.arange(*plan.owned_first[s.bucket : s.bucket + 2]) for s in states]
    )
    fired = _joined([np.zeros(0, np.int64)] + [_owned_counts(plan, s) for s in states])
    source = np.searchsorted(plan.component_first, numbers, side="right") - 1
    dropped = [
        int(n - plan.component_first[s]) in plan.run.sources[s].dropped
        for n, s in zip(numbers, source, strict=True)
    ]
    columns = {
        "component": numbers,
        "source": [plan.run.sources[s].name for s in source],
        "index": numbers - plan.component_first[source],
        "firing_tokens": fired,
        "dead": (fired == 0) & ~np.asarray(dropped, bool),
        "dropped": dropped,
    }
    return table_of(COMPONENTS, columns)


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


def vocabulary_table(tokens: Sequence[bytes]) -> pa.Table:
    """Return the bytes of every token id."""
    return table_of(VOCABULARY, {"id": np.arange(len(tokens)), "token": list(tokens)})
