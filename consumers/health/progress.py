"""What the workers of this process have done so far, for bars, metrics and the watchdog."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from consumers.selection.worker import Outcome

Side = Literal["activations", "aggregates"]


@dataclass(frozen=True, slots=True)
class Done:
    """Totals since the start; seconds are those of one thread.

    records, batches, tokens, rows, hits, refused, compute_seconds: of the activation side. partials
    and the fields after it: of the aggregate side. progressed: per side, seconds since 1970 of its
    last record.
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
    apply_seconds: float = 0.0
    flushes: int = 0
    flush_seconds: float = 0.0
    flush_bytes: int = 0
    flush_interval: float = 0.0
    parts: int = 0
    snapshot_seconds: float = 0.0
    progressed: Mapping[Side, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a worker stands: records left per partition of its input, chains per owned shard.

    chains: per source partition, the last sequence that every bucket of the shard has applied.
    """

    group: str
    topic: str
    lag: Mapping[int, int]
    chains: Mapping[int, tuple[int, ...]]


@dataclass(slots=True)
class Progress:
    """Counts from several threads; ``done`` and ``standings`` are consistent copies.

    standings: of every worker in this process, by a number of its own.
    """

    done: Done = field(default_factory=Done)
    standings: Mapping[int, Standing] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
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
        self, tokens: int, seconds: float, *, duplicate: bool = False, refused: bool = False
    ) -> None:
        """Count a partial that a shard took in, and the tokens whose statistics it brought."""
        self._add(
            "aggregates",
            partials=1,
            tokens_applied=tokens,
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

    def stands(self, worker: int, standing: Standing) -> None:
        """Note where a worker stands."""
        with self._lock:
            self.standings = {**self.standings, worker: standing}

    def _add(self, side: Side | None, **more: float) -> None:
        with self._lock:
            changes = {name: getattr(self.done, name) + value for name, value in more.items()}
            progressed = self.done.progressed
            if side is not None:
                progressed = {**progressed, side: self.clock()}
            self.done = replace(self.done, progressed=progressed, **changes)
