"""What the workers of this process have done so far, for bars, metrics, logs and the watchdog."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from consumers.activations.device_status import DeviceStatus
from consumers.health.health import WorkerHealth
from consumers.selection.worker import Outcome
from streams.monitoring.rates import Rates

Side = Literal["activations", "aggregates"]


@dataclass(frozen=True, slots=True)
class Done:
    """Totals since the start; seconds are those of one thread.

    records, batches, tokens, rows, hits, refused, compute_seconds: of the activation side. partials
    and the fields after it: of the aggregate side; tokens_applied and rows_applied count every
    shard. progressed: per side, seconds since 1970 of its last record. rebalances: per side,
    assignments received.
    """

    records: int = 0
    batches: int = 0
    tokens: int = 0
    rows: int = 0
    hits: int = 0
    refused: int = 0
    compute_seconds: float = 0.0
    select_seconds: float = 0.0
    partials: int = 0
    duplicates: int = 0
    refused_partials: int = 0
    tokens_applied: int = 0
    rows_applied: int = 0
    apply_seconds: float = 0.0
    flushes: int = 0
    flush_seconds: float = 0.0
    flush_bytes: int = 0
    flush_interval: float = 0.0
    parts: int = 0
    snapshot_seconds: float = 0.0
    progressed: Mapping[Side, float] = field(default_factory=dict)
    rebalances: Mapping[Side, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerPosition:
    """Where a worker stands in its input, and its owned shards.

    lag: per assigned partition, records to acknowledge. chains: per shard and source partition, the
    last sequence that every bucket of the shard has applied. unread: per assigned partition,
    records that are not processed yet. retention: per assigned partition, the share of the records
    in the log that is left. done, total: records of the whole input that the group acknowledged,
    and all. state_bytes: per owned shard.
    """

    group: str
    topic: str
    lag: Mapping[int, int]
    chains: Mapping[int, tuple[int, ...]]
    side: Side = "aggregates"
    unread: Mapping[int, int] = field(default_factory=dict)
    retention: Mapping[int, float] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    state_bytes: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """Counts from several threads; ``done`` and ``positions`` are consistent copies.

    positions: of every worker in this process, by a number of its own. assigned: per worker, its
    side and how many partitions it has. written: per side and partition, when the last processed
    record was written, in seconds since 1970. rates: of ``totals``, sampled by the reporter.
    device: asked for the state of the device, None without one.
    """

    done: Done = field(default_factory=Done)
    positions: Mapping[int, WorkerPosition] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    assigned: Mapping[int, tuple[Side, int]] = field(default_factory=dict)
    written: Mapping[tuple[Side, int], float] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    device: Callable[[], DeviceStatus] | None = None
    health: WorkerHealth = field(default_factory=WorkerHealth)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def activated(self, outcome: Outcome, seconds: float = 0.0) -> None:
        """Count a record of the corpus and the time that it took."""
        self._add(
            "activations",
            records=1,
            batches=int(outcome.rows > 0 or outcome.error is not None),
            tokens=outcome.tokens,
            rows=outcome.rows,
            hits=outcome.hits,
            refused=int(outcome.error is not None),
            compute_seconds=seconds,
            select_seconds=outcome.select_seconds,
        )

    def applied(
        self,
        tokens: int,
        seconds: float,
        *,
        rows: int = 0,
        duplicate: bool = False,
        refused: bool = False,
    ) -> None:
        """Count a partial that a shard took in, and the tokens whose statistics it brought."""
        self._add(
            "aggregates",
            partials=1,
            tokens_applied=tokens,
            rows_applied=rows,
            apply_seconds=seconds,
            duplicates=int(duplicate),
            refused_partials=int(refused),
        )

    def flushed(self, seconds: float, size: int = 0, interval: float = 0.0) -> None:
        """Count a group of states of ``size`` bytes that became durable in ``seconds``.

        interval: the time to the next one, in seconds.
        """
        self._add(None, flushes=1, flush_seconds=seconds, flush_bytes=size)
        with self._lock:
            self.done = replace(self.done, flush_interval=interval)

    def wrote_part(self, seconds: float) -> None:
        """Count the time that a part of a snapshot took."""
        self._add(None, parts=1, snapshot_seconds=seconds)

    def note_position(self, worker: int, position: WorkerPosition) -> None:
        """Note where a worker stands."""
        with self._lock:
            self.positions = {**self.positions, worker: position}

    def rebalanced(self, worker: int, side: Side, partitions: int) -> None:
        """Count an assignment that a worker received."""
        with self._lock:
            counts = self.done.rebalances
            counts = {**counts, side: counts.get(side, 0) + 1}
            self.done = replace(self.done, rebalances=counts)
            self.assigned = {**self.assigned, worker: (side, partitions)}

    def settled(self, side: Side, partition: int, written: float | None) -> None:
        """Note when the record was written that was processed last of a partition."""
        if written is not None:
            with self._lock:
                self.written = {**self.written, (side, partition): written}

    def sample(self, now: float, totals: Mapping[str, float]) -> None:
        """Note totals of a moment, for rates."""
        self.rates = self.rates.after(now, totals)

    def _add(self, side: Side | None, **more: float) -> None:
        with self._lock:
            changes = {name: getattr(self.done, name) + value for name, value in more.items()}
            progressed = self.done.progressed
            if side is not None:
                progressed = {**progressed, side: self.clock()}
            self.done = replace(self.done, progressed=progressed, **changes)
