"""The metrics of a producer.

This module imports prometheus_client, so import it only where metrics are served.
"""

import os
from collections.abc import Iterator
from typing import Any

from prometheus_client.registry import Collector

from producers.produced import Produced
from streams.monitoring import metrics as m
from streams.monitoring.endpoint import family
from streams.monitoring.metrics import Metric

SIDE = "producer"


class ProducedCollector(Collector):
    """Turns the counts of a producer into metrics."""

    def __init__(self, produced: Produced) -> None:
        self._produced = produced

    def collect(self) -> Iterator[Any]:
        """Yield every metric as it stands."""
        done = self._produced
        yield _made(m.LIVE, float(done.live().ok))
        yield _made(m.READY, float(done.ready().ok))
        yield _made(m.PRODUCED_BATCHES, done.batches)
        yield _made(m.PRODUCED_ROWS, done.rows)
        yield _made(m.PRODUCED_TOKENS, done.tokens)
        yield _made(m.DEAD_LETTERS, done.refused, SIDE)
        yield _made(m.ROWS_PER_SECOND, done.rates.rate("rows"), SIDE)
        yield _made(m.TOKENS_PER_SECOND, done.rates.rate("tokens"), SIDE)
        yield _made(m.ETA, done.eta(), SIDE)
        processor = done.rates.rate("processor")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        yield _made(
            m.PROCESSOR_UTILISATION, None if processor is None else processor / (cores or 1)
        )


def _made(metric: Metric, value: float | None, *labels: str) -> Any:
    """Return a metric with one value, without any if it is not known."""
    made = family(metric)
    if value is not None:
        made.add_metric(list(labels), value)
    return made
