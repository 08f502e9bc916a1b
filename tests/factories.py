"""Small runs, batches and activations for tests; change what matters, keep the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from consumers.activations.engine import Activations
from consumers.activations.standin import stand_in_measured
from consumers.aggregation.shards import new_bucket
from consumers.plan import Plan, make_plan
from consumers.rankings.registry import rankings
from streams.records.corpus import TokenBatch, sample_keys
from streams.records.measures import Measure, statistics
from streams.records.partials import BucketState
from streams.records.runs import Clustering, Model, RunRecord, Source
from streams.snapshots.content import Hashed
from streams.snapshots.manifests import VERSION, RunManifest
from streams.snapshots.table_entry import table_entry
from streams.snapshots.tables import TABLES

VOCABULARY = 50


def source(name: str = "sae", **changes: Any) -> Source:
    """Return a source of 12 components."""
    given = {"kind": "dictionary", "location": "nowhere", "content": "0", "hook": "h"}
    return Source(**{"name": name, "components": 12, **given, **changes})


def clustering(
    members: dict[str, list[tuple[int, int]]], name: str = "groups", **changes: Any
) -> Clustering:
    """Return a clustering of label -> [(source number, index)]."""
    pairs = [pair for listed in members.values() for pair in listed]
    given = {
        "name": name,
        "iteration": 0,
        "content": "0",
        "labels": tuple(members),
        "sizes": np.array([len(listed) for listed in members.values()], np.int32),
        "source": np.array([s for s, _ in pairs], np.int32),
        "index": np.array([i for _, i in pairs], np.int32),
    }
    return Clustering(**{**given, **changes})


def run_record(**changes: Any) -> RunRecord:
    """Return a run of one dictionary and one overlapping clustering, three shards, k = 3."""
    given: dict[str, Any] = {
        "name": "test",
        "corpus": "text",
        "partitions": 2,
        "context": 6,
        "model": Model("nowhere", "0", VOCABULARY),
        "sources": (source(coactivation=True),),
        "clusterings": (clustering({"a": [(0, 1), (0, 2)], "b": [(0, 2), (0, 3), (0, 11)]}),),
        "shards": 3,
        "store": "memory://store",
        "masked_ids": np.array([0]),
        "bucket_bytes": 6000,
    }
    named: dict[str, Any] = {"rankings": ("maximum", "last"), "k": 3, "edges": None, "sum_bits": 20}
    named = {name: changes.pop(name, default) for name, default in named.items()}
    measures = {
        "statistics": statistics(named["sum_bits"], named["edges"]),
        "rankings": _rankings(named["rankings"], named["k"]),
    }
    return RunRecord(**{**given, **measures, **changes})


def _rankings(given: Sequence[str | Measure], k: int) -> tuple[Measure, ...]:
    """Return rankings by name, or as they are given."""
    names = [each for each in given if isinstance(each, str)]
    return rankings(names, k) if names else tuple(e for e in given if isinstance(e, Measure))


def plan(**changes: Any) -> Plan:
    """Return the plan of ``run_record(**changes)``."""
    return make_plan(run_record(**changes))


def run_manifest(**changes: Any) -> RunManifest:
    """Return the manifest of a snapshot without files, which lists every table that a run has."""
    given: dict[str, Any] = {
        "version": VERSION,
        "run": "prose",
        "run_id": "ab" * 16,
        "identity": "ba" * 16,
        "snapshot": "final",
        "final": True,
        "content": "cd" * 32,
        "created": "2026-01-02T03:04:05+00:00",
        "store": "memory://store",
        "chains": (),
        "tables": tuple(
            table_entry(form, Hashed(0, "ef" * 32), content=True) for form in TABLES.values()
        ),
        "files": (),
        "about": {},
    }
    return RunManifest(**{**given, **changes})


def batches(
    partitions: int = 2, per_partition: int = 5, rows: int = 4, context: int = 6, seed: int = 0
) -> list[TokenBatch]:
    """Return random batches, in order per partition; some rows repeat and some are padded."""
    random = np.random.default_rng(seed)
    pool = random.integers(0, VOCABULARY, (rows * per_partition, context))
    made = []
    for partition in range(partitions):
        for sequence in range(per_partition):
            ids = pool[random.integers(0, len(pool), rows)].astype(np.uint32)
            lengths = random.integers(1, context + 1, rows)
            made.append(batch(ids, lengths, partition, sequence))
    return made


def batch(ids: Any, lengths: Any, partition: int = 0, sequence: int = 0) -> TokenBatch:
    """Return a batch of rows of ids, each valid up to its length."""
    ids = np.asarray(ids, np.uint32)
    mask = np.arange(ids.shape[1]) < np.asarray(lengths)[:, None]
    return TokenBatch(
        corpus="text",
        partition=partition,
        sequence=sequence,
        ids=ids,
        mask=mask,
        keys=sample_keys("tokenizer", ids, mask),
        documents=tuple(f"doc-{partition}-{sequence}-{row}" for row in range(len(ids))),
        domains=("",) * len(ids),
    )


def with_domains(given: Sequence[TokenBatch], domains: int = 3) -> list[TokenBatch]:
    """Return batches whose rows are of several domains, one after the other."""
    return [
        replace(
            each,
            domains=tuple(f"d{(each.sequence + row) % domains}" for row in range(len(each.ids))),
        )
        for each in given
    ]


def complete_states(plan: Plan, shard: int, **changes: Any) -> list[BucketState]:
    """Return states of a shard in which nothing has fired, of one batch per partition."""
    ends = np.ones(plan.run.partitions, np.int64)
    given = {"chain": ends - 1, "batches": ends, "tokens": 8, "rows": 4, **changes}
    empty = (new_bucket(plan, shard, bucket) for bucket in plan.buckets_of(shard))
    return [replace(state, **given) for state in empty]


@dataclass(frozen=True)
class DenseEngine:
    """Values drawn from a table by the token id, quantised so that ties happen."""

    plan: Plan
    seed: int = 0
    density: float = 0.4

    def dense(self, batch: TokenBatch) -> np.ndarray[Any, Any]:
        """Return every value, [row, position, component]."""
        random = np.random.default_rng(self.seed)
        shape = (VOCABULARY, self.plan.components)
        table = random.integers(1, 9, shape) / 4 * random.choice([-1, 1], shape)
        table *= random.random(shape) < self.density
        positive = [s.sign == "value" for s in self.plan.run.sources for _ in range(s.components)]
        return np.where(positive, np.abs(table), table)[batch.ids].astype(np.float32)

    def compute(self, batch: TokenBatch, valid: np.ndarray[Any, Any]) -> Activations:
        """Return the non-zero values at valid tokens of components that are not dropped."""
        dense = self.dense(batch) * valid[..., None]
        for number, source in enumerate(self.plan.run.sources):
            dense[..., [int(self.plan.component_first[number]) + d for d in source.dropped]] = 0
        component, row, position = np.nonzero(dense.transpose(2, 0, 1))
        return Activations(
            component,
            row.astype(np.int32),
            position.astype(np.int32),
            dense[row, position, component],
            measured=stand_in_measured(self.plan, batch, valid),
        )
