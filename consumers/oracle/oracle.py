"""Oracle: the same dashboard data in the plainest way: keep everything, sort at the end.

One process, no broker, no shards, one cluster at a time. It shares the models, the record types and
the table columns with the service and nothing of its selection, aggregation or layout of state;
statistics are counted by their own ``recount`` and rows scored by their ranking's ``recompute``,
which share no code with what the service runs.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from consumers.activations.engine import Activations, Engine
from consumers.plan import Plan
from consumers.rankings.ranking import PlainRow
from consumers.snapshots.samples import Place, sample_of, samples_table
from consumers.statistics.statistic import PlainBatch, PlainCluster, Recount
from streams.arrays import F32, AnyArray
from streams.errors import RecordError
from streams.records.corpus import TokenBatch, TokenForms

_Hit = tuple[float, bytes, int, Place, float]
"""Minus the score, which orders; sample, peak, place; the score as it is shown."""


@dataclass(slots=True)
class Oracle:
    """Feed it every batch of a corpus, in order per partition; then ask for the tables."""

    plan: Plan
    engine: Engine
    recounts: list[Recount] = field(default_factory=list)
    hits: list[dict[tuple[str, int], list[_Hit]]] = field(default_factory=list)
    kept: dict[tuple[int, int], tuple[TokenBatch, Activations]] = field(default_factory=dict)
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
        self.recounts = [each.recount(self.plan) for each in self.plan.statistics]
        self.hits = [defaultdict(list) for _ in range(self.plan.clusters)]

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
        plain = PlainBatch(batch, valid, self._fired(activations), measured=activations.measured)
        for number in range(self.plan.clusters):
            cluster = self._cluster(number, activations, valid.shape)
            if cluster is not None:
                for recount in self.recounts:
                    recount.cluster(plain, cluster)
                self._rank(plain, cluster, self._values(number, activations, valid.shape))
        for recount in self.recounts:
            recount.batch(plain)

    def _fired(self, activations: Activations) -> dict[int, int]:
        """Return at how many tokens each component fires, if any."""
        activity = self._signed(activations.component, activations.value)
        fires = activity > self.plan.threshold[activations.component]
        found = np.unique(activations.component[fires], return_counts=True)
        return {int(component): int(count) for component, count in zip(*found, strict=True)}

    def _signed(self, component: AnyArray, value: AnyArray) -> AnyArray:
        """Return activity: the value with its source's sign, or its absolute value."""
        signs = self.signs[component]
        flipped = np.where(signs == "negative", -value, value)
        return np.where(signs == "absolute", np.abs(value), flipped)

    def _members(self, cluster: int) -> list[int]:
        first, stop = self.plan.member_first[cluster : cluster + 2]
        return [int(m) for m in self.plan.members[first:stop]]

    def _cluster(
        self, cluster: int, activations: Activations, shape: tuple[int, ...]
    ) -> PlainCluster | None:
        """Return the strongest firing member at every token, -inf where none fires, and each
        member's activity. None if no member fires in the batch."""
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
        return PlainCluster(cluster, np.max(dense, axis=0), dense)

    def _values(self, cluster: int, activations: Activations, shape: tuple[int, ...]) -> F32:
        """Return the signed values [member, row, position] of a cluster, 0 where not active."""
        members = self._members(cluster)
        values = np.zeros((len(members), *shape), np.float32)
        for number, component in enumerate(members):
            part = slice(*np.searchsorted(activations.component, (component, component + 1)))
            value = activations.value[part]
            fires = (
                self._signed(activations.component[part], value) > self.plan.threshold[component]
            )
            values[number, activations.row[part], activations.position[part]] = value * fires
        return values

    def _rank(self, plain: PlainBatch, cluster: PlainCluster, values: F32) -> None:
        batch, activity, number = plain.batch, cluster.activity, cluster.number
        where = next(c for c in self.plan.clusterings if c.first <= number < c.stop)
        name = where.name, where.iteration, where.labels[number - where.first]
        signs = self.signs[self._members(number)]
        for row in np.flatnonzero((activity > -np.inf).any(axis=1)):
            place = (batch.partition, batch.sequence, int(row))
            plain_row = PlainRow(
                activity=activity[row],
                values=values[:, row],
                both_signs=tuple((signs == "absolute").tolist()),
                valid=plain.valid[row],
                sample=batch.keys[row].tobytes(),
                cluster=name,
                edges=tuple(self.plan.run.edges.tolist()),
            )
            for given in self.plan.rankings:
                hit = given.ranking.recompute(plain_row)
                if hit is not None:
                    self.hits[number][(given.name, hit.table)].append(
                        (-hit.score, plain_row.sample, hit.peak, place, hit.shown)
                    )

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
            "hits": hits,
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
        for recount in self.recounts:
            rows |= recount.tables(self.tokens)
        known = self.plan.forms
        tables = {n: pa.Table.from_pylist(r, schema=known[n].schema) for n, r in rows.items()}
        return {**tables, "samples": samples_table(samples)}

    def _ranked(self) -> Iterator[dict[str, Any]]:
        for cluster, hits in enumerate(self.hits):
            for given in self.plan.rankings:
                best: dict[bytes, _Hit] = {}
                for table in range(given.stop - given.first):
                    for hit in _best(hits[(given.name, table)], given.k):
                        best.setdefault(hit[1], hit)
                for rank, (_, key, peak, place, shown) in enumerate(best.values()):
                    yield {
                        "cluster": cluster,
                        "ranking": given.name,
                        "rank": rank,
                        "score": shown,
                        "sample": key,
                        "peak": peak,
                        **dict(zip(("partition", "sequence", "row"), place, strict=True)),
                        **self._rows(cluster, place),
                    }

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


def _best(hits: list[_Hit], k: int) -> list[_Hit]:
    """Return the best hit of each of the k best samples."""
    found: dict[bytes, _Hit] = {}
    for hit in sorted(hits):
        found.setdefault(hit[1], hit)
    return list(found.values())[:k]
