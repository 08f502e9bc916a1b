"""Bytes on the bus and in the state, and what an aggregator takes for them: a model-free replay.

``python -m benchmarks.traffic [--samples N] [--shape small|gpt2] [--workers 1 4]``. Workers run in
this process, the aggregator in one of its own, so that its memory and processor time are its own. A
report for each number of workers has a row at a tenth of the samples and one at all of them.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory
from benchmarks.replay import DrawnEngine, replay_batches, replay_plan
from benchmarks.report import write_report
from benchmarks.shapes import GPT2, SMALL, Shape
from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan
from consumers.selection.worker import ActivationWorker
from streams import topics
from streams.record_headers import headers_of
from streams.transport.faust.flush_interval import FlushInterval
from streams.wire import codec

SHAPES = {"small": SMALL, "gpt2": GPT2}
L0 = 56.5
BATCH_SECONDS = {"small": 0.6, "gpt2": 8.0}
"""Features per token, and forward and encode of 64 rows on the 2 cores that the goals name."""


def main() -> None:
    """Replay with each number of workers, and write a report for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="gpt2")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    notes = [
        f"Drawn activations, {L0} features per token, densities log-normal; batches of 64 rows of "
        "128 tokens; no token counts.",
        "Formula: 28 bytes a hit, 6 an entry of its row, per cluster 4 a counter and 16, and 1,100 "
        "a bucket.",
        "Flushes and changelog: as many as the interval allows in the time that forward and encode "
        f"of the batches take at {BATCH_SECONDS[options.shape]} s a batch.",
    ]
    for workers in options.workers:
        rows = list(measured(SHAPES[options.shape], options.samples, workers))
        write_report(f"traffic-{options.shape}-{workers}", rows, notes=notes)


@dataclass(frozen=True, slots=True)
class Request:
    """Records for the aggregator to apply; without any, a wish to be measured."""

    records: tuple[tuple[int, bytes, bytes], ...]
    is_last: bool = False


def measured(shape: Shape, samples: int, workers: int) -> Iterator[dict[str, Any]]:
    """Yield a row at a tenth of the samples and one at the end."""
    plan = replay_plan(shape)
    engine = DrawnEngine(plan.components, L0)
    crew = [ActivationWorker(plan, engine) for _ in range(workers)]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=aggregate, args=(theirs, shape), daemon=True)
    child.start()
    sent = {topics.HITS: 0, topics.STATISTICS: 0}
    tokens = hits = 0
    select: list[float] = []
    whole = samples // 64
    for number, batch in enumerate(replay_batches(shape, whole * 64), 1):
        headers = dict(headers_of(topics.BATCH, batch.sequence))
        worker = crew[number % workers]
        outcome = worker.handle(batch.partition, codec.encode(batch), headers)
        if outcome.error is not None:
            raise outcome.error
        ours.send(Request(tuple((r.shard, r.kind, r.value) for r in outcome.records)))
        for record in outcome.records:
            sent[record.kind] += len(record.value)
        tokens, hits = tokens + outcome.tokens, hits + outcome.hits
        select.append(outcome.select_seconds)
        if number in (whole // 10, whole):
            ours.send(Request((), number == whole))
            state = ours.recv()
            yield {
                "workers": workers,
                "samples": number * 64,
                "features": shape.features,
                "bytes a token": sum(sent.values()) / tokens,
                "hits, bytes a token": sent[topics.HITS] / tokens,
                "statistics, bytes a token": sent[topics.STATISTICS] / tokens,
                "hits sent": hits,
                "k(1 + ln(N/k)) a feature and worker": _expected(plan, number * 64, workers),
                "select, ms a batch (last tenth)": 1e3
                * float(np.mean(select[-len(select) // 10 :])),
                **state,
                **_changelog(shape, number, state),
            }
    ours.close()
    child.join()


def _expected(plan: Plan, samples: int, workers: int) -> float:
    """Return how many hits workers send of which each saw a share, if all features fired a lot."""
    k, each = plan.run.k, samples / workers
    return float(workers * plan.clusters * k * (1 + max(0.0, np.log(each / k))))


def _changelog(shape: Shape, batches: int, state: dict[str, Any]) -> dict[str, float]:
    seconds = batches * BATCH_SECONDS[shape.name]
    flushes = max(1, int(seconds / state["flush interval, s"]))
    return {"flushes": flushes, "changelog, bytes": flushes * state["state, bytes"]}


def aggregate(requests: Connection, shape: Shape) -> None:
    """Apply records until the other side is gone; the body of the aggregator's process."""
    plan = replay_plan(shape)
    overlay = Overlay(plan)
    for shard in range(plan.run.shards):
        overlay.load(shard, ())
    at = [0] * plan.run.shards
    apply: list[float] = []
    while True:
        try:
            request = requests.recv()
        except EOFError:
            return
        if not request.records:
            requests.send(_measure(plan, overlay, apply, request.is_last))
            continue
        begun = time.process_time()
        for shard, kind, value in request.records:
            overlay.apply(shard, at[shard], partial(plan, shard, kind, value))
            at[shard] += 1
        apply.append(time.process_time() - begun)


def _measure(plan: Plan, overlay: Overlay, apply: list[float], is_last: bool) -> dict[str, Any]:
    begun = time.perf_counter()
    values = list(overlay.flush())
    flush = time.perf_counter() - begun
    size = sum(len(value) for _, _, value in values)
    found = {
        "apply, ms a batch (all)": 1e3 * float(np.mean(apply)),
        "apply, ms a batch (last tenth)": 1e3 * float(np.mean(apply[-len(apply) // 10 :])),
        "state, bytes": size,
        "state / formula": size / _formula(plan, overlay),
        "flush, s": flush,
        "flush interval, s": FlushInterval().after(flush),
        "aggregator peak, MB": peak_memory() / 2**20,
    }
    if is_last:
        again = Overlay(plan)
        begun = time.perf_counter()
        for shard in range(plan.run.shards):
            again.load(shard, [(key, value) for owner, key, value in values if owner == shard])
        found["recovery, s"] = time.perf_counter() - begun
    return found


def _formula(plan: Plan, overlay: Overlay) -> float:
    states = [state for shard in overlay.shards for state in overlay.outlines(shard)]
    hits = sum(len(state.hits) for state in states)
    entries = sum(len(state.hits.value) for state in states)
    counters = sum(len(state.counts) for state in states)
    return 28 * hits + 6 * entries + 4 * counters + 16 * plan.clusters + 1100 * len(states)


if __name__ == "__main__":
    main()
