"""Does a worker take more memory when the text grows tenfold?

``python -m benchmarks.memory [--quick]``. An activation worker and an aggregator, each a process of
its own, on Kafka; activations are drawn, so that only what the service itself keeps counts. At the
smallest size every table is full already.
"""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.crew import Load, create_run, crew, taken
from benchmarks.crew_worker import ACTIVATIONS, AGGREGATES, Taken
from benchmarks.report import write_report
from benchmarks.shapes import Shape, publish
from millrace.local_kafka import NativeKafka, cache_folder
from streams.transport.connect import connect

SHAPE = Shape("drawn", 1, 8, 1, 8192, 0, 2048)
LOAD = Load(SHAPE, k=50, l0=20.0, shards=4, partitions=4)
ROWS = 4096
TIMES = (1, 3, 10)
GOAL = 0.05


def main() -> None:
    """Measure every size and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples, at 1x and 3x")
    parser.add_argument("--rows", type=int, default=ROWS, help="samples at 1x")
    given = parser.parse_args()
    times, rows = (TIMES[:2], 512) if given.quick else (TIMES, given.rows)
    with NativeKafka(cache_folder(os.environ), heap_megabytes=512) as broker:
        found = {}
        for factor in times:
            found[factor] = measured(broker, factor * rows, f"times{factor}")
            print(factor, found[factor], flush=True)
    table = [
        row(role, factor, factor * rows, found[factor][role], found[times[0]][role])
        for role in (ACTIVATIONS, AGGREGATES)
        for factor in times
    ]
    notes = [
        f"Samples of {SHAPE.context} tokens, {SHAPE.features} features, {LOAD.l0:g} of them per "
        f"token, k = {LOAD.k}, one worker of each kind; resident memory as the system states it.",
        "The peak is that of the whole life of the process, final snapshot included.",
    ]
    if not given.quick:
        write_report("memory", table, notes=notes)
    print(*table, sep="\n")


def measured(broker: NativeKafka, rows: int, name: str) -> dict[str, Taken]:
    """Return what each worker took for a corpus of so many rows, by its role."""
    client = connect(broker.url)
    with tempfile.TemporaryDirectory() as store:
        plan = create_run(client, LOAD, name, Path(store))
        with crew(broker, plan, LOAD, {ACTIVATIONS: 1, AGGREGATES: 1}) as started:
            publish(client, SHAPE, rows, corpus=plan.run.corpus, partitions=LOAD.partitions)
            all_taken = taken(started)
    client.close()
    return {one.role: one for one in all_taken}


def row(role: str, factor: int, samples: int, found: Taken, least: Taken) -> dict[str, object]:
    """Return the row of a role and a size."""
    growth = found.peak / least.peak - 1
    return {
        "worker": role,
        "times": factor,
        "samples": samples,
        "peak MB": found.peak / 1e6,
        "over start MB": (found.peak - found.at_start) / 1e6,
        "growth %": 100 * growth,
        "goal": f"< {GOAL:.0%}",
        "met": "yes" if growth < GOAL else "no",
    }


if __name__ == "__main__":
    main()
