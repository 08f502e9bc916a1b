"""Does twice as many workers mean twice the throughput, on Kafka?

``python -m benchmarks.scale_out [--quick]``. Every worker is a process. In place of a model a
batch takes a fixed time, asleep, so that a machine of few cores can carry many workers; what is
measured is everything else: delivery, bookkeeping, sending, aggregating. The corpus grows with the
workers, and is published once all have joined.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.crew import Load, create_run, crew, taken
from benchmarks.crew_worker import ACTIVATIONS, AGGREGATES
from benchmarks.report import write_report
from benchmarks.shapes import Shape, publish
from benchmarks.timing import Spread
from millrace.local_kafka import NativeKafka, cache_folder
from streams.snapshots.manifests import FINAL
from streams.transport.connect import connect

SHAPE = Shape("asleep", 1, 8, 1, 8192, 0, 512)
LOAD = Load(SHAPE, k=20, l0=10.0, latency=0.6, shards=4, partitions=16)
BATCH_ROWS = 8
GOAL = 0.9
CREWS = ((1, 1), (2, 1), (4, 2), (8, 4))
"""Activation workers and aggregators."""


def main() -> None:
    """Measure every crew in every round, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 and 4 workers, a short corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=24, help="for each activation worker")
    given = parser.parse_args()
    crews = (CREWS[0], CREWS[2]) if given.quick else CREWS
    rounds, each = (1, 16) if given.quick else (given.rounds, given.batches)
    found: dict[tuple[int, int], list[dict[str, float]]] = {workers: [] for workers in crews}
    with NativeKafka(cache_folder(os.environ), heap_megabytes=512) as broker:
        for number in range(rounds):
            for workers in crews:
                found[workers].append(measured(broker, workers, each, f"round{number}"))
                print(workers, found[workers][-1], flush=True)
    alone = [one["rate"] for one in found[crews[0]]]
    rows = [row(workers, found[workers], alone) for workers in crews]
    notes = [
        f"A batch takes {LOAD.latency} s, asleep, about what forward and encode of 64 rows take "
        f"at the small shape; {BATCH_ROWS} rows of {SHAPE.context} tokens, "
        f"{SHAPE.features} features, {LOAD.l0:g} of them per token, k = {LOAD.k}; "
        f"{LOAD.partitions} partitions, {LOAD.shards} shards, {each} batches for each worker.",
        "Rate: batches a second while all work: from when the last worker has done its first batch "
        "to when the first has done its last. Of linear: against so many times the rate of one "
        "worker in the same round. To the very end: the same until the last batch of all, when "
        "workers that began sooner have nothing left; to the manifest: until the final snapshot "
        "stands, so that aggregators which lag would show.",
        "Processor: milliseconds of all workers for a batch, snapshot included; the broker's and "
        "that of whatever else the machine does are not in it, nor what comes before a worker's "
        "first record: imports, and loading the loops that are compiled.",
    ]
    if not given.quick:
        write_report("scale_out", rows, notes=notes)
    print(*rows, sep="\n")


def measured(
    broker: NativeKafka, workers: tuple[int, int], each: int, name: str
) -> dict[str, float]:
    """Return what a run took: batches a second, processor seconds, seconds after the last batch."""
    activations, aggregates = workers
    client = connect(broker.url)
    run = f"{name}-{activations}"
    with tempfile.TemporaryDirectory() as store:
        plan = create_run(client, LOAD, run, Path(store))
        wanted = {ACTIVATIONS: activations, AGGREGATES: aggregates}
        with crew(broker, plan, LOAD, wanted) as started:
            rows = activations * each * BATCH_ROWS
            publish(client, SHAPE, rows, BATCH_ROWS, corpus=plan.run.corpus,
                    partitions=LOAD.partitions)  # fmt: skip
            all_taken = taken(started)
        final = (Path(store) / run / FINAL / "manifest.json").stat().st_mtime
    client.close()
    active = [one for one in all_taken if one.role == ACTIVATIONS]
    begun, ended = max(one.done[0] for one in active), min(one.done[-1] for one in active)
    last = max(one.done[-1] for one in active)
    later = [at for one in active for at in one.done if at > begun]
    counts = [len(one.done) for one in active]
    return {
        "rate": sum(at <= ended for at in later) / (ended - begun),
        "to the end": len(later) / (last - begun),
        "to the manifest": len(later) / (final - begun),
        "processor": sum(one.processor for one in all_taken) / sum(counts),
        "fewest": min(counts),
        "most": max(counts),
    }


def row(
    workers: tuple[int, int], found: list[dict[str, float]], alone: list[float]
) -> dict[str, object]:
    """Return a crew's row of the report."""
    rates = [one["rate"] for one in found]
    linear = [rate / (workers[0] * base) for rate, base in zip(rates, alone, strict=True)]
    whole = [one["to the end"] / (workers[0] * b) for one, b in zip(found, alone, strict=True)]
    final = [one["to the manifest"] / (workers[0] * b) for one, b in zip(found, alone, strict=True)]
    return {
        "activation workers": workers[0],
        "aggregators": workers[1],
        "batches/s": Spread(tuple(rates)),
        "of linear": Spread(tuple(linear)),
        "to the very end": Spread(tuple(whole)),
        "to the manifest": Spread(tuple(final)),
        "goal": f">= {GOAL}",
        "met": "yes" if statistics.median(linear) >= GOAL else "no",
        "processor ms": Spread(tuple(1000 * one["processor"] for one in found)),
        "batches of a worker": f"{found[0]['fewest']:.0f} .. {found[0]['most']:.0f}",
    }


if __name__ == "__main__":
    main()
