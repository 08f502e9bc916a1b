"""Oracle: the same dashboard data in the plainest way: keep everything, sort at the end.

One process, no broker, no shards, one cluster at a time. It shares the models, the record types and
the table columns with the service and nothing of its selection, aggregation or plan of counters.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from consumers.activations.engine import Activations, Engine
from consumers.plan import Plan
from consumers.snapshots.samples import Place, sample_of, samples_table
from streams.arrays import AnyArray
from streams.bounds import PAIRS_LIMIT
from streams.errors import RecordError
from streams.records.corpus import TokenBatch, TokenForms
from streams.snapshots.tables import TABLES


@dataclass(slots=True)
class _Found:
    """Everything ever seen of one cluster."""

    tokens: int = 0
    rows: int = 0
    sum: int = 0
    low: float = 0.0
    high: float = 0.0
    histogram: list[int] = field(default_factory=list)
    hits: dict[str, list[tuple[float, bytes, int, Place]]] = field(default_factory=dict)
    pairs: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class Oracle:
    """Feed it every batch of a corpus, in order per partition; then ask for the tables."""

    plan: Plan
    engine: Engine
    found: list[_Found] = field(default_factory=list)
    kept: dict[tuple[int, int], tuple[TokenBatch, Activations]] = field(default_factory=dict)
    fired: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    coactivating: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    signs: AnyArray = field(default_factory=lambda: np.zeros(0))
    tokens: int = 0
    rows: int = 0
    batches: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        """Begin with nothing found of any cluster."""
        self.signs = np.asarray(
            [s.sign for s in self.plan.run.sources for _ in range(s.components)]
        )
        bins = len(self.plan.run.edges) + 1
        criteria = self.plan.run.criteria
        for _ in range(self.plan.clusters):
            self.found.append(_Found(histogram=[0] * bins, hits={c: [] for c in criteria}))

    def refuse(self) -> None:
        """Count a batch that cannot be read."""
        self.batches += 1
        self.refused += 1

    def add(self, batch: TokenBatch) -> None:
        """Count a batch in; one that cannot be computed counts as refused."""
        run = self.plan.run
        valid = batch.mask.copy()
        for token in run.masked_ids:
            valid[batch.ids == token] = False
        for position in run.masked_positions:
            valid[:, position : position + 1] = False
        try:
            activations = self.engine.compute(batch, valid)
        except RecordError:
            self.refuse()
            return
        self.batches += 1
        self.tokens += int(valid.sum())
        self.rows += int(valid.any(axis=1).sum())
        self.kept[(batch.partition, batch.sequence)] = (batch, activations)
        self._count_components(activations)
        firing: dict[int, AnyArray] = {}
        for cluster in range(self.plan.clusters):
            activity = self._activity(cluster, activations, valid.shape)
            if activity is not None:
                firing[cluster] = activity > -np.inf
                self._count_cluster(cluster, batch, valid, activity)
        self._count_together(firing)

    def _count_components(self, activations: Activations) -> None:
        activity = self._signed(activations.component, activations.value)
        fires = activity > self.plan.threshold[activations.component]
        for component, count in zip(
            *np.unique(activations.component[fires], return_counts=True), strict=True
        ):
            self.fired[int(component)] += int(count)

    def _signed(self, component: AnyArray, value: AnyArray) -> AnyArray:
        """Return activity: the value with its source's sign, or its absolute value."""
        signs = self.signs[component]
        flipped = np.where(signs == "negative", -value, value)
        return np.where(signs == "absolute", np.abs(value), flipped)

    def _members(self, cluster: int) -> list[int]:
        first, stop = self.plan.member_first[cluster : cluster + 2]
        return [int(m) for m in self.plan.members[first:stop]]

    def _activity(
        self, cluster: int, activations: Activations, shape: tuple[int, ...]
    ) -> AnyArray | None:
        """Return the strongest firing member at every token, -inf where none fires; and count
        which members co-activate. None if no member has a value in the batch."""
        dense = []
        for component in self._members(cluster):
            first, stop = np.searchsorted(activations.component, (component, component + 1))
            of_member = np.full(shape, -np.inf, np.float32)
            part = slice(first, stop)
            activity = self._signed(activations.component[part], activations.value[part])
            fires = activity > self.plan.threshold[component]
            at = (activations.row[part][fires], activations.position[part][fires])
            of_member[at] = activity[fires]
            dense.append(of_member)
        if not dense or not any((d > -np.inf).any() for d in dense):
            return None
        pairs = len(dense) * (len(dense) + 1) // 2
        if len(dense) > 1 and pairs <= PAIRS_LIMIT:
            for a in range(len(dense)):
                for b in range(a, len(dense)):
                    both = int(((dense[a] > -np.inf) & (dense[b] > -np.inf)).sum())
                    self.found[cluster].pairs[(a, b)] += both
        strongest: AnyArray = np.max(dense, axis=0)
        return strongest

    def _count_cluster(
        self, cluster: int, batch: TokenBatch, valid: AnyArray, activity: AnyArray
    ) -> None:
        found = self.found[cluster]
        values = activity[activity > -np.inf]
        found.low = min(found.low, float(values.min())) if found.tokens else float(values.min())
        found.high = max(found.high, float(values.max())) if found.tokens else float(values.max())
        found.tokens += len(values)
        found.rows += int((activity > -np.inf).any(axis=1).sum())
        found.sum += sum(round(v * 2**self.plan.run.sum_bits) for v in values.tolist())
        edges = self.plan.run.edges.tolist()
        for value in values.tolist():
            found.histogram[bisect_right(edges, value)] += 1
        for row in np.flatnonzero((activity > -np.inf).any(axis=1)):
            place = (batch.partition, batch.sequence, int(row))
            peaks = {
                "maximum": int(np.argmax(activity[row])),
                "last": int(np.flatnonzero(valid[row])[-1]),
            }
            for criterion, hits in found.hits.items():
                score = float(activity[row, peaks[criterion]])
                if score > -np.inf:
                    hits.append((-score, batch.keys[row].tobytes(), peaks[criterion], place))

    def _count_together(self, firing: dict[int, AnyArray]) -> None:
        for clustering in self.plan.clusterings:
            inside = [c for c in firing if clustering.first <= c < clustering.stop]
            if not clustering.coactivation or not inside:
                continue
            fires = np.stack([firing[c].reshape(-1) for c in inside]).astype(np.float32)
            both = fires @ fires.T
            for i, j in zip(*np.nonzero(both), strict=True):
                if i < j:
                    self.coactivating[(inside[i], inside[j])] += int(both[i, j])

    def tables(
        self, vocabulary: Sequence[bytes], forms: Sequence[TokenForms] = ()
    ) -> dict[str, pa.Table]:
        """Return the tables of the snapshot (see streams/snapshots/tables.py).

        vocabulary, forms: the bytes of each id, and those at the beginning, at the end and alone.
        """
        places_of_ids = [dict(zip(form.ids, form.tokens, strict=True)) for form in forms]
        first, last, alone = places_of_ids or ({}, {}, {})
        hits = list(self._ranked())
        places = {(h["partition"], h["sequence"], h["row"]) for h in hits}
        samples = {p: sample_of(self.kept[p[:2]][0], p[2]) for p in places}
        rows: dict[str, list[dict[str, Any]]] = {
            "clusters": [self._cluster_row(c) for c in range(self.plan.clusters)],
            "hits": hits,
            "coactivation": [
                {"cluster_a": a, "cluster_b": b, "tokens": n}
                for (a, b), n in sorted(self.coactivating.items())
            ],
            "member_coactivation": [
                {"cluster": c, "member_a": a, "member_b": b, "tokens": n}
                for c, found in enumerate(self.found)
                for (a, b), n in sorted(found.pairs.items())
                if n
            ],
            "features": [self._feature_row(c) for c in range(self.plan.components)],
            "totals": [
                {
                    "tokens": self.tokens,
                    "rows": self.rows,
                    "batches": self.batches,
                    "refused": self.refused,
                }
            ],
            "vocabulary": [
                {
                    "id": i,
                    "token": t,
                    "first": first.get(i, t),
                    "last": last.get(i, t),
                    "alone": alone.get(i, t),
                }
                for i, t in enumerate(vocabulary)
            ],
        }
        tables = {n: pa.Table.from_pylist(r, schema=TABLES[n].schema) for n, r in rows.items()}
        return {**tables, "samples": samples_table(samples)}

    def _ranked(self) -> Iterator[dict[str, Any]]:
        for cluster, found in enumerate(self.found):
            for criterion, hits in found.hits.items():
                taken: set[bytes] = set()
                for score, key, peak, place in sorted(hits):
                    if key in taken or len(taken) == self.plan.run.k:
                        continue
                    yield {
                        "cluster": cluster,
                        "ranking": criterion,
                        "rank": len(taken),
                        "score": -score,
                        "sample": key,
                        "peak": peak,
                        **dict(zip(("partition", "sequence", "row"), place, strict=True)),
                        **self._rows(cluster, place),
                    }
                    taken.add(key)

    def _rows(self, cluster: int, place: Place) -> dict[str, list[Any]]:
        """Return the row of the cluster and of each member at a place."""
        _, activations = self.kept[place[:2]]
        member_rows: list[tuple[int, int, float]] = []
        strongest: dict[int, float] = {}
        for member, component in enumerate(self._members(cluster)):
            first, stop = np.searchsorted(activations.component, (component, component + 1))
            for at in first + np.flatnonzero(activations.row[first:stop] == place[2]):
                position, value = int(activations.position[at]), float(activations.value[at])
                member_rows.append((member, position, value))
                activity = float(self._signed(np.asarray([component]), np.asarray([value]))[0])
                if activity > self.plan.threshold[component]:
                    strongest[position] = max(activity, strongest.get(position, -np.inf))
        return {
            "positions": sorted(strongest),
            "activations": [strongest[p] for p in sorted(strongest)],
            "member_indices": [m for m, _, _ in member_rows],
            "member_positions": [p for _, p, _ in member_rows],
            "member_activations": [v for _, _, v in member_rows],
        }

    def _cluster_row(self, cluster: int) -> dict[str, Any]:
        where = next(c for c in self.plan.clusterings if c.first <= cluster < c.stop)
        first, stop = self.plan.listed_first[cluster : cluster + 2]
        members = self._members(cluster)
        listed = [int(c) for c in self.plan.listed[first:stop]]
        found = self.found[cluster]
        pairs = len(members) * (len(members) + 1) // 2
        return {
            "cluster": cluster,
            "clustering": where.name,
            "iteration": where.iteration,
            "label": where.labels[cluster - where.first],
            "members": [self.plan.component_label(c) for c in members],
            "dropped_members": [self.plan.component_label(c) for c in listed if c not in members],
            "firing_tokens": found.tokens,
            "firing_rows": found.rows,
            "activation_density": found.tokens / max(self.tokens, 1),
            "activation_sum": found.sum,
            "mean_activation": found.sum / 2**self.plan.run.sum_bits / max(found.tokens, 1),
            "min_activation": found.low,
            "max_activation": found.high,
            "activation_histogram": found.histogram,
            "coactivation_counted": where.coactivation,
            "member_coactivation_counted": len(members) > 1 and pairs <= PAIRS_LIMIT,
        }

    def _feature_row(self, component: int) -> dict[str, Any]:
        name, _, index = self.plan.component_label(component).partition(":")
        source = next(s for s in self.plan.run.sources if s.name == name)
        dropped = int(index) in source.dropped
        return {
            "feature": component,
            "source": name,
            "index": int(index),
            "firing_tokens": self.fired[component],
            "activation_density": self.fired[component] / max(self.tokens, 1),
            "dead": not dropped and not self.fired[component],
            "dropped": dropped,
        }
