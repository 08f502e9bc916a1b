"""Aggregation at the rate of a GPU: hits merged per second of a core, and the tail of a run.

``python -m benchmarks.aggregating [--features N] [--quick]``. Drawn scores stand in for a model:
what one worker sends of batches of 2,048 rows, by default for a dictionary of 24,576 features with
k = 100. Its records are decoded and applied in one thread, round after round, and then the final
snapshot is written as a worker writes it: parts in as many threads as cores, then samples, hashes
and manifest.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import cores
from benchmarks.replay import replay_plan
from benchmarks.report import RESULTS, write_report
from benchmarks.shapes import SMALL, Shape, batches, publish
from benchmarks.timing import Spread, Timed
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan, make_plan
from consumers.selection.batch_tally import BatchTally
from consumers.selection.messages import batch_records, end_records
from consumers.snapshots.joining import joined
from consumers.snapshots.snapshots import write_shard
from consumers.statistics.contributions import MomentSums
from streams import topics
from streams.arrays import F32, I64
from streams.records.corpus import PartitionEnd, TokenBatch
from streams.records.hits import Hits, ranges
from streams.records.partials import BucketState
from streams.transport.client import Client
from streams.transport.connect import connect

WIDE = Shape("gpt2", 12, 768, 12, 50_257, 8, 24_576)
L0, BATCH_ROWS, PARTITIONS = 56.5, 2_048, 2
_BURST = 2.0
"""Tokens at which a feature is active in a row that it is active in, on average."""

Record = tuple[int, bytes, bytes]
"""Shard, kind and value."""


def main(arguments: Sequence[str]) -> int:
    """Measure and write the report; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aggregating", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny; its report is thrown away")
    parser.add_argument("--features", type=int, default=WIDE.features, help="%(default)s")
    given = parser.parse_args(arguments)
    quick, wide = given.quick, replace(WIDE, features=given.features)
    shape, rows, count, k = (SMALL, 64, 4, 5) if quick else (wide, BATCH_ROWS, 8, 100)
    with tempfile.TemporaryDirectory() as aside:
        drawn = replay_plan(shape, k=k, partitions=PARTITIONS)
        plan = make_plan(replace(drawn.run, store=aside))
        client = connect("memory://aggregating")
        client.create_topics([topics.SNAPSHOTS])
        publish(client, shape, rows * count, rows, partitions=PARTITIONS)
        records, hits = records_of(plan, shape, rows, count)
        merged, states = _merged(plan, records, hits, 1 if quick else 3)
        tail = [_tail(plan, states, client) for _ in range(1 if quick else 3)]
    row = {
        "features": shape.features,
        "k": k,
        "batches": f"{count} of {rows:,} rows",
        "hits": hits,
        "merged hits/s of a core": merged,
        **{name: Timed(tuple(each[name] for each in tail)) for name in tail[0]},
    }
    notes = [
        "merged: decoding, checks, statistics and merging, by the processor time of one thread",
        "tail: seconds by the clock, from complete states to the run manifest",
        f"load: {os.getloadavg()[0]:.0f} processes wanted the machine's {cores()} cores in the "
        "last minute",
    ]
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) if quick else RESULTS
        print(write_report("aggregating", [row], notes=notes, folder=folder), file=sys.stderr)
    return 0


def records_of(plan: Plan, shape: Shape, rows: int, count: int) -> tuple[list[Record], int]:
    """Return what one worker sends for all batches and the ends, and how many hits that is.

    Every cluster is active in as many rows of a batch as are features of ``WIDE``, of which ``L0``
    are active at a token, on average, with exponentially distributed scores; what k rows beat is no
    hit.
    """
    random = np.random.default_rng(3)
    active = max(1, min(rows - 1, round(rows * shape.context * L0 / _BURST / WIDE.features)))
    best = np.full((plan.clusters, plan.run.k), -np.inf, np.float32)
    found, hits = list[Record](), 0
    for batch in batches(shape, rows * count, rows, partitions=PARTITIONS):
        place = batch.partition, batch.sequence
        score = random.exponential(1.0, (plan.clusters, active)).astype(np.float32)
        every = np.concatenate([best, score], axis=1)
        best = -np.partition(-every, plan.run.k - 1, axis=1)[:, : plan.run.k]
        cluster, which = np.nonzero(score >= best.min(axis=1, keepdims=True))
        sent = _hits(batch, cluster, which, score[cluster, which], random)
        tally = _tally(plan, rows * shape.context, rows, random)
        found += [(r.shard, r.kind, r.value) for r in batch_records(plan, *place, tally, sent)]
        hits += len(sent)
    for partition in range(PARTITIONS):
        number = count // PARTITIONS
        tokens = number * rows * shape.context
        end = PartitionEnd(plan.run.corpus, partition, number, number * rows, tokens)
        found += [(r.shard, r.kind, r.value) for r in end_records(plan, end)]
    return found, hits


def _hits(
    batch: TokenBatch, cluster: I64, which: I64, score: F32, random: np.random.Generator
) -> Hits:
    """Return hits in different rows of a batch, with rows of the score and lower values."""
    count, (rows, context) = len(cluster), batch.ids.shape
    row = (cluster * 31 + which * 7) % rows  # different ones, as 7 is prime to the number of rows
    keys = np.ascontiguousarray(batch.keys).view(">u8").astype(np.uint64)[row]
    length = random.geometric(1 / _BURST, count).clip(max=context // 2).astype(np.int32)
    begin = np.cumsum(length) - length
    peak = random.integers(0, context // 2, count).astype(np.int32)
    value = np.repeat(score, length) * random.random(length.sum(), np.float32)
    value[begin] = score
    one = np.ones(count, np.int64)
    return Hits(
        table=cluster.astype(np.uint32),
        score=score,
        sample_high=np.ascontiguousarray(keys[:, 0]),
        sample_low=np.ascontiguousarray(keys[:, 1]),
        peak=peak,
        partition=(one * batch.partition).astype(np.int32),
        sequence=one * batch.sequence,
        row=row.astype(np.int32),
        rows=length,
        member=np.zeros(len(value), np.int32),
        position=ranges(peak, length).astype(np.int32),
        value=value,
    )


def _tally(plan: Plan, tokens: int, rows: int, random: np.random.Generator) -> BatchTally:
    """Return tokens, rows, a third of the bins, and moments of every cluster."""
    counters = plan.layout.sum_first[-1]
    some = np.flatnonzero(random.random(counters) < 1 / 3)
    at = np.arange(plan.layout.moments_first[-1])
    low, high = (np.full(len(at), value, np.float32) for value in (0.01, 9))
    moments = MomentSums(at, random.integers(1, 2**30, len(at)), low, high)
    return BatchTally(tokens, rows, some, random.integers(1, 1000, len(some)), moments)


def _merged(
    plan: Plan, records: Sequence[Record], hits: int, rounds: int
) -> tuple[Spread, list[list[BucketState]]]:
    """Return hits per second of processor time, round by round, and the states of all shards."""
    rates = list[float]()
    shards = range(plan.run.shards)
    for _ in range(rounds + 1):  # loops are compiled in the first, which does not count
        overlay, at = Overlay(plan), [0] * plan.run.shards
        for shard in shards:
            overlay.load(shard, ())
        begun = time.thread_time()
        for shard, kind, value in records:
            overlay.apply(shard, at[shard], partial(plan, shard, kind, value))
            at[shard] += 1
        states = [overlay.states(shard) for shard in shards]
        rates.append(hits / (time.thread_time() - begun))
    return Spread(tuple(rates[1:])), states


def _tail(plan: Plan, states: Sequence[Sequence[BucketState]], client: Client) -> dict[str, float]:
    """Write a final snapshot anew and return the seconds of its parts, of the rest, and of both."""

    def write(shard: int) -> Any:
        return write_shard(plan, "final", shard, states[shard], client)

    begun, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(min(4, plan.run.shards, cores())) as threads:
        parts = list(threads.map(write, range(plan.run.shards)))
    written = time.perf_counter()
    joined(plan, parts, (), client)
    ended = time.perf_counter()
    return {
        "tail s": ended - begun,
        "parts s": written - begun,
        "samples and hashes s": ended - written,
        "tail, processor s": time.process_time() - used,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
