"""Metrics of a worker process for Prometheus, read from its ``Progress`` when they are asked for.

This module imports prometheus_client, so import it only where metrics are served.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from consumers.health.progress import Done, Progress
from streams.errors import SettingsError

Family = CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily


@dataclass(frozen=True, slots=True)
class Address:
    """Where metrics are served; port 0 takes a free one."""

    host: str
    port: int


class ProgressCollector(Collector):
    """Turns the totals and standings of a process into metrics."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Family]:
        """Yield every metric as it stands."""
        done = self._progress.done
        yield from _by_side(done)
        yield _total("millrace_tokens", "Valid tokens computed.", done.tokens)
        yield _total("millrace_hits", "Hits sent to the aggregate side.", done.hits)
        yield _total("millrace_duplicates_skipped", "Statistics applied before.", done.duplicates)
        yield SummaryMetricFamily(
            "millrace_flush_seconds",
            "Time until a group of states was durable.",
            count_value=done.flushes,
            sum_value=done.flush_seconds,
        )
        yield _total("millrace_flush_bytes", "Bytes of these states.", done.flush_bytes)
        yield GaugeMetricFamily(
            "millrace_flush_interval_seconds",
            "Time from the last group of states to the next.",
            value=done.flush_interval,
        )
        yield _lag(self._progress)
        yield _chain(self._progress)


def _by_side(done: Done) -> Iterator[Family]:
    records = CounterMetricFamily("millrace_records", "Records processed.", labels=["side"])
    refused = CounterMetricFamily("millrace_dead_letters", "Records refused.", labels=["side"])
    seconds = SummaryMetricFamily(
        "millrace_batch_seconds", "Time that a record took to process.", labels=["side"]
    )
    last = GaugeMetricFamily(
        "millrace_last_progress_timestamp_seconds", "Time of the last record.", labels=["side"]
    )
    found = {
        "activations": (done.records, done.refused, done.compute_seconds),
        "aggregates": (done.partials, done.refused_partials, done.apply_seconds),
    }
    for side, timestamp in sorted(done.progressed.items()):
        processed, dead, took = found[side]
        records.add_metric([side], processed)
        refused.add_metric([side], dead)
        seconds.add_metric([side], processed, took)
        last.add_metric([side], timestamp)
    yield from (records, refused, seconds, last)


def _total(name: str, says: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, says, value=value)


def _lag(progress: Progress) -> GaugeMetricFamily:
    labels = ["consumergroup", "topic", "partition"]
    family = GaugeMetricFamily(
        "kafka_consumergroup_lag", "Records to acknowledge in assigned partitions.", labels=labels
    )
    for standing in progress.standings.values():
        for partition, lag in standing.lag.items():
            family.add_metric([standing.group, standing.topic, str(partition)], lag)
    return family


def _chain(progress: Progress) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "millrace_chain",
        "Last sequence of a corpus partition that all buckets of a shard applied.",
        labels=["shard", "partition"],
    )
    for standing in progress.standings.values():
        for shard, chain in standing.chains.items():
            for partition, sequence in enumerate(chain):
                family.add_metric([str(shard), str(partition)], sequence)
    return family


@contextmanager
def served(progress: Progress, address: Address) -> Iterator[int]:
    """Serve ``/metrics`` while the block runs; yields the port. Raises SettingsError if taken."""
    registry = CollectorRegistry()
    registry.register(ProgressCollector(progress))
    ProcessCollector(registry=registry)
    server: Any
    thread: threading.Thread
    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise SettingsError(
            f"metrics cannot be served at {where}: {error.strerror or error}"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
