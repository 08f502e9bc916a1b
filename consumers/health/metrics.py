"""The metrics of a worker process, read from its ``Progress`` when they are asked for.

This module imports prometheus_client, so import it only where metrics are served.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client.registry import Collector

from consumers.health.progress import Done, Progress, Side
from consumers.health.reporting import SIDES, speed
from streams.monitoring import metrics as m
from streams.monitoring.endpoint import Address, family
from streams.monitoring.endpoint import served as served_at
from streams.monitoring.metrics import Metric

__all__ = ["Address", "ProgressCollector", "served"]


class ProgressCollector(Collector):
    """Turns the totals and positions of a process into metrics."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Any]:
        """Yield every metric as it stands."""
        progress = self._progress
        done = progress.done
        yield _single(m.LIVE, float(progress.health.live().ok))
        yield _single(m.READY, float(progress.health.ready().ok))
        yield from _by_side(done)
        yield from _totals(done)
        yield _stages(progress)
        yield from _rates(progress)
        yield from _positions(progress)
        yield from _device(progress)


def _single(metric: Metric, value: float) -> Any:
    made = family(metric)
    made.add_metric([], value)
    return made


def _labelled(metric: Metric, values: Mapping[tuple[str, ...], float | None]) -> Any:
    """Return a metric with a value per labels, without those that are not known."""
    made = family(metric)
    for labels, value in values.items():
        if value is not None:
            made.add_metric(list(labels), value)
    return made


def _by_side(done: Done) -> Iterator[Any]:
    found: dict[Side, tuple[int, int, float]] = {
        "activations": (done.records, done.refused, done.compute_seconds),
        "aggregates": (done.partials, done.refused_partials, done.apply_seconds),
    }
    seen = sorted(done.progressed)
    yield _labelled(m.RECORDS, {(side,): found[side][0] for side in seen})
    yield _labelled(m.DEAD_LETTERS, {(side,): found[side][1] for side in seen})
    seconds = family(m.BATCH_SECONDS)
    for side in seen:
        seconds.add_metric([side], found[side][0], found[side][2])
    yield seconds
    yield _labelled(m.LAST_PROGRESS, {(side,): done.progressed[side] for side in seen})
    yield _labelled(m.REBALANCES, {(side,): n for side, n in done.rebalances.items()})


def _totals(done: Done) -> Iterator[Any]:
    for metric, value in (
        (m.TOKENS, done.tokens),
        (m.ROWS, done.rows),
        (m.HITS, done.hits),
        (m.DUPLICATES, done.duplicates),
        (m.FLUSH_BYTES, done.flush_bytes),
        (m.FLUSH_INTERVAL, done.flush_interval),
        (m.SNAPSHOT_PARTS, done.parts),
    ):
        yield _single(metric, value)
    flushes = family(m.FLUSH_SECONDS)
    flushes.add_metric([], done.flushes, done.flush_seconds)
    yield flushes


def _stages(progress: Progress) -> Any:
    done, device = progress.done, progress.device
    seconds = {
        "select": done.select_seconds,
        "aggregate": done.apply_seconds,
        "flush": done.flush_seconds,
        "snapshot": done.snapshot_seconds,
    }
    if device is not None:
        status = device()
        seconds |= {"forward": status.forward, "encode": status.encode}
        seconds["select"] += status.select
    return _labelled(m.STAGE_SECONDS, {(stage,): value for stage, value in seconds.items()})


def _rates(progress: Progress) -> Iterator[Any]:
    sides = {side: speed(progress, side) for side in SIDES if side in progress.done.rebalances}
    yield _labelled(m.TOKENS_PER_SECOND, {(side,): fast.tokens for side, fast in sides.items()})
    yield _labelled(m.ROWS_PER_SECOND, {(side,): fast.rows for side, fast in sides.items()})
    yield _labelled(m.ETA, {(side,): fast.eta for side, fast in sides.items()})
    processor = progress.rates.rate("processor")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = None if processor is None else processor / (cores or 1)
    yield _labelled(m.PROCESSOR_UTILISATION, {(): share})


def _positions(progress: Progress) -> Iterator[Any]:
    found = list(progress.positions.values())
    yield _labelled(m.LAG, {(s.group, s.topic, str(p)): n for s in found for p, n in s.lag.items()})
    yield _labelled(
        m.LAG_SECONDS,
        {
            (s.side, str(p)): _age(progress, s.side, p) if n else 0.0
            for s in found
            for p, n in s.lag.items()
        },
    )
    yield _labelled(
        m.RETENTION_USED, {(s.side, str(p)): r for s in found for p, r in s.retention.items()}
    )
    yield _labelled(m.INPUT_RECORDS, {(s.side,): s.total for s in found})
    yield _labelled(m.INPUT_ACKNOWLEDGED, {(s.side,): s.done for s in found})
    yield _labelled(
        m.STATE_BYTES, {(str(shard),): n for s in found for shard, n in s.state_bytes.items()}
    )
    yield _labelled(
        m.CHAIN,
        {
            (str(shard), str(partition)): sequence
            for s in found
            for shard, chain in s.chains.items()
            for partition, sequence in enumerate(chain)
        },
    )
    assigned: dict[tuple[str, ...], float | None] = {}
    for side, partitions in progress.assigned.values():
        assigned[(side,)] = (assigned.get((side,)) or 0) + partitions
    yield _labelled(m.ASSIGNED, assigned)


def _age(progress: Progress, side: Side, partition: int) -> float | None:
    written = progress.written.get((side, partition))
    return None if written is None else max(0.0, progress.clock() - written)


def _device(progress: Progress) -> Iterator[Any]:
    if progress.device is None:
        return
    status, busy = progress.device(), progress.rates.rate("device")
    yield _labelled(m.DEVICE_UTILISATION, {(status.device,): busy and min(1.0, busy)})
    yield _labelled(
        m.DEVICE_MEMORY, {(status.device, kind): size for kind, size in status.memory.items()}
    )


@contextmanager
def served(progress: Progress, address: Address) -> Iterator[int]:
    """Serve ``/metrics``, ``/live`` and ``/ready`` while the block runs; yields the port.

    Raises SettingsError if the port is taken.
    """
    with served_at(ProgressCollector(progress), progress.health, address) as port:
        yield port
