"""Processor seconds of select, aggregate and flush in one checkout, a round per line of input.

Started by ``benchmarks.statistics`` with another checkout's folder in PYTHONPATH, so it takes
nothing that only this one has. Arguments: names of optional statistics, or ``by:RANKING``.
"""

import json
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from consumers.activations.engine import Activations
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan, make_plan
from consumers.selection.worker import ActivationWorker, Computed
from streams.records.corpus import TokenBatch
from streams.records.runs import Clustering, Model, RunRecord, Source

FEATURES, ROWS, CONTEXT, BATCHES, L0, DOMAINS = 8192, 64, 128, 4, 40.0, 12


def drawn_plan(optional: list[str]) -> Plan:
    """Return the plan of a dictionary's features and 64 clusters of eight."""
    source = Source("sae", "dictionary", "drawn", "0", "h", FEATURES)
    members = np.random.default_rng(1).permutation(FEATURES)[:512].astype(np.int32)
    groups = Clustering(
        "groups", 0, "0", tuple(map(str, range(64))), np.full(64, 8, np.int32), members * 0, members
    )
    run = RunRecord(
        name="drawn",
        corpus="text",
        partitions=1,
        context=CONTEXT,
        model=Model("drawn", "0", 5000),
        sources=(source,),
        clusterings=(groups,),
        shards=2,
        store="memory://drawn",
    )
    by = [name.removeprefix("by:") for name in optional if name.startswith("by:")]
    if by:
        from consumers.rankings.registry import rankings

        run = replace(run, rankings=rankings(by))
    optional = [name for name in optional if not name.startswith("by:")]
    if optional:
        from consumers.statistics.registry import optional_statistics

        run = replace(run, statistics=(*run.statistics, *optional_statistics(optional)))
    return make_plan(run)


def drawn_batch(number: int, features: int = FEATURES, l0: float = L0) -> Computed:
    """Return a batch whose features fire at log-normal densities, in bursts within rows."""
    random = np.random.default_rng(number)
    density = np.random.default_rng(0).lognormal(0, 1, features)
    density = np.minimum(density * l0 / density.sum(), 0.2)
    bursts = random.poisson(density * (ROWS * CONTEXT / 2))
    feature = np.repeat(np.arange(features), bursts)
    lengths = random.geometric(0.5, len(feature))
    row = np.repeat(random.integers(0, ROWS, len(feature)), lengths)
    token = row * CONTEXT + random.integers(0, CONTEXT, len(row))
    at = np.unique(np.repeat(feature, lengths) * ROWS * CONTEXT + token)
    feature, token = np.divmod(at, ROWS * CONTEXT)
    row, position = np.divmod(token, CONTEXT)
    value = random.exponential(1.0, len(at)).astype(np.float32) + np.float32(2**-20)
    ids = random.integers(0, 5000, (ROWS, CONTEXT)).astype(np.uint32)
    keys = random.integers(0, 256, (ROWS, 16)).astype(np.uint8)
    domains = tuple(f"domain {n}" for n in random.integers(0, DOMAINS, ROWS))
    everything = np.ones((ROWS, CONTEXT), bool)
    batch = TokenBatch("text", 0, number, ids, everything, keys, ("",) * ROWS, domains)
    activations = Activations(feature, row.astype(np.int32), position.astype(np.int32), value)
    return Computed(batch, everything, activations)


def measured(plan: Plan, batches: list[Computed]) -> dict[str, float]:
    """Return processor seconds a batch, and bytes a batch on the bus and in all of the state."""
    worker, overlay = ActivationWorker(plan, _NoEngine()), Overlay(plan)
    for shard in range(plan.run.shards):
        overlay.load(shard, ())
    offsets = [0] * plan.run.shards
    select = aggregate = bus = 0.0
    for batch in batches:
        begun = time.process_time()
        records = worker.select(batch).records
        middle = time.process_time()
        for record in records:
            bus += len(record.value)
            part = partial(plan, record.shard, record.kind, record.value)
            overlay.apply(record.shard, offsets[record.shard], part)
            offsets[record.shard] += 1
        select += middle - begun
        aggregate += time.process_time() - middle
    begun = time.process_time()
    state = sum(len(value) for _, _, value in overlay.flush())
    flush = time.process_time() - begun
    found = {"select": select, "aggregate": aggregate, "flush": flush, "bus": bus, "state": state}
    found["all three"] = select + aggregate + flush
    return {name: each / len(batches) for name, each in found.items()}


class _NoEngine:
    def compute(self, batch: Any, valid: Any) -> Activations:
        raise NotImplementedError


def main() -> None:
    """Say ready, then print a round as JSON for every line that comes in."""
    plan, batches = drawn_plan(sys.argv[1:]), [drawn_batch(number) for number in range(BATCHES)]
    measured(plan, batches)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measured(plan, batches)), flush=True)


if __name__ == "__main__":
    main()
