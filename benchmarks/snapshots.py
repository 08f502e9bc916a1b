"""How long the final snapshot takes once a run's text is all in: a tail that nothing overlaps.

``python -m benchmarks.snapshots [--quick]``. States are drawn, with every table full; they are
written as a worker that owns all shards does, beside an event loop, whose longest pause is told.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.replay import replay_plan
from benchmarks.report import write_report
from benchmarks.shapes import GPT2, SMALL, Shape, batches, publish
from benchmarks.timing import Spread
from consumers.aggregation.shards import new_bucket
from consumers.health.progress import Progress
from consumers.plan import Plan, make_plan
from consumers.service.shard_writer import ShardWriter
from consumers.snapshots.snapshots import final_manifest
from streams import topics
from streams.errors import SnapshotError
from streams.records.corpus import TokenBatch
from streams.records.hits import Hits
from streams.records.partials import BucketState
from streams.transport.connect import connect
from streams.transport.memory.broker import forget

ROWS = 2048
PARTITIONS = 4
ENTRIES = 2.0
"""Positions at which a feature fires in a row that it keeps, on average."""

GOALS = {"small": 0.5, "gpt2": 3.0}

States = Mapping[int, Sequence[BucketState]]


def main() -> None:
    """Measure both shapes and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few features, one round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    quick = replace(SMALL, name="quick", features=64)
    rounds, shapes = (1, [quick]) if given.quick else (given.rounds, [SMALL, GPT2])
    rows = [row(shape, rounds) for shape in shapes]
    notes = [
        f"{ROWS} samples of {SMALL.context} tokens, {ENTRIES:g} entries per hit on average, "
        "k = 100, 4 shards, all of one worker; embedded broker, files in a folder.",
        "Seconds: from the states to the run manifest on the broker. Assembling, which reads the "
        "files again to compute the content hash, is a part of it.",
        "The first round of a process takes longer and is left out: libraries are imported.",
    ]
    if not given.quick:
        write_report("snapshots", rows, notes=notes)
    print(*rows, sep="\n")


@dataclass(frozen=True, slots=True)
class Written:
    """Seconds until the final manifest, seconds of assembling in it, the longest pause of the event
    loop in seconds, and the bytes of all files."""

    whole: float
    assembling: float
    pause: float
    bytes: int


def row(shape: Shape, rounds: int) -> dict[str, object]:
    """Return the report's row of a shape."""
    plan = replay_plan(shape, partitions=PARTITIONS)
    drawn = states(plan, list(batches(shape, ROWS, partitions=PARTITIONS)))
    found = [written(shape, plan, drawn, number) for number in range(rounds + 1)][1:]
    seconds = Spread(tuple(one.whole for one in found))
    goal = GOALS.get(shape.name)
    return {
        "shape": shape.name,
        "features": shape.features,
        "hits": sum(len(state.hits) for each in drawn.values() for state in each),
        "seconds": seconds,
        "assembling": Spread(tuple(one.assembling for one in found)),
        "longest pause": Spread(tuple(one.pause for one in found)),
        "MB": found[0].bytes / 1e6,
        **({"goal": f"< {goal}", "met": "yes" if seconds.median < goal else "no"} if goal else {}),
    }


def written(shape: Shape, plan: Plan, drawn: States, number: int) -> Written:
    """Write a final snapshot to an empty folder and broker."""
    name = f"snapshots-{shape.name}-{number}"
    broker = f"memory://{name}"
    client = connect(broker)
    client.create_topics(topics.SHARED)
    publish(client, shape, ROWS, partitions=PARTITIONS)
    progress = Progress()
    with tempfile.TemporaryDirectory() as folder:
        ours = make_plan(replace(plan.run, store=folder))
        renamed = {s: [replace(each, run=ours.id) for each in given] for s, given in drawn.items()}
        begun = time.perf_counter()
        pause, before = asyncio.run(_write(ours, broker, renamed, progress))
        whole = time.perf_counter() - begun
        manifest = final_manifest(client, ours)
    forget(name)
    if manifest is None:
        raise SnapshotError("the writer ended without the final snapshot")
    size = sum(file.bytes for file in manifest.files)
    return Written(whole, progress.done.snapshot_seconds - before, pause, size)


async def _write(plan: Plan, broker: str, drawn: States, progress: Progress) -> tuple[float, float]:
    """Return the event loop's longest pause, and the seconds of work before assembling."""
    failures: list[BaseException] = []
    writer = ShardWriter(plan, broker, failures.append, progress)
    pause = before = 0.0
    async with writer:
        writer.owned(list(drawn))
        for shard, given in drawn.items():
            writer.write_final(shard, given)
        while (parts := progress.done.parts) <= plan.run.shards and not failures:
            if parts == plan.run.shards:
                before = progress.done.snapshot_seconds
            asked = time.perf_counter()
            await asyncio.sleep(0.001)
            pause = max(pause, time.perf_counter() - asked - 0.001)
    for failure in failures:
        raise failure
    return pause, before


def states(plan: Plan, corpus: Sequence[TokenBatch]) -> dict[int, list[BucketState]]:
    """Return drawn states of every shard, complete, all tables full."""
    lengths = np.zeros(plan.run.partitions, np.int64)
    for batch in corpus:
        lengths[batch.partition] += 1
    keys = np.concatenate([batch.keys for batch in corpus]).view(">u8").astype(np.uint64)
    places = np.array(
        [(b.partition, b.sequence, row) for b in corpus for row in range(len(b.ids))], np.int64
    )
    rows = len(places)
    return {
        shard: [
            replace(
                new_bucket(plan, shard, bucket),
                chain=lengths - 1,
                batches=lengths,
                rows=rows,
                tokens=rows * plan.run.context,
                low=np.full(len(plan.clusters_of(bucket)), 0.1, np.float32),
                high=np.full(len(plan.clusters_of(bucket)), 8, np.float32),
                hits=drawn_hits(plan, bucket, keys, places),
            )
            for bucket in plan.buckets_of(shard)
        ]
        for shard in range(plan.run.shards)
    }


def drawn_hits(plan: Plan, bucket: int, keys: np.ndarray, places: np.ndarray) -> Hits:
    """Return k hits for each cluster of a bucket of single features, best first."""
    random = np.random.default_rng(bucket)
    tables, k = len(plan.clusters_of(bucket)), min(plan.run.k, len(places))
    which = np.argsort(random.random((tables, len(places))), axis=1)[:, :k].reshape(-1)
    score = -np.sort(-random.exponential(1, (tables, k)).astype(np.float32), axis=1).reshape(-1)
    length = random.geometric(1 / ENTRIES, tables * k).clip(max=plan.run.context // 2)
    first = np.cumsum(length) - length
    begin = random.integers(0, plan.run.context // 2, tables * k)
    position = np.arange(length.sum()) + np.repeat(begin - first, length)
    value = np.repeat(score, length) * random.random(length.sum()).astype(np.float32)
    value[first] = score
    partition, sequence, row = places[which].T
    return Hits(
        table=np.repeat(np.arange(tables), k).astype(np.uint32),
        score=score,
        sample_high=keys[which, 0],
        sample_low=keys[which, 1],
        peak=position[first].astype(np.int32),
        partition=partition.astype(np.int32),
        sequence=sequence,
        row=row.astype(np.int32),
        rows=length.astype(np.int32),
        member=np.zeros(len(position), np.int32),
        position=position.astype(np.int32),
        value=value,
    )


if __name__ == "__main__":
    main()
