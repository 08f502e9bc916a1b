"""What the workers of this process have done so far, for bars and for a watching operator."""

import threading
from dataclasses import dataclass, field, replace

from consumers.worker import Outcome


@dataclass(frozen=True, slots=True)
class Done:
    """Totals since the start; seconds are those of one thread."""

    batches: int = 0
    tokens: int = 0
    rows: int = 0
    hits: int = 0
    refused: int = 0
    select_seconds: float = 0.0
    tokens_applied: int = 0
    apply_seconds: float = 0.0
    parts: int = 0
    snapshot_seconds: float = 0.0


@dataclass(slots=True)
class Progress:
    """Counts from several threads; ``done`` is a consistent copy."""

    done: Done = field(default_factory=Done)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def activated(self, outcome: Outcome) -> None:
        """Count a record of the corpus."""
        self._add(
            batches=int(outcome.rows > 0 or outcome.error is not None),
            tokens=outcome.tokens,
            rows=outcome.rows,
            hits=outcome.hits,
            refused=int(outcome.error is not None),
            select_seconds=outcome.select_seconds,
        )

    def applied(self, tokens: int, seconds: float) -> None:
        """Count a partial that a shard took in, and the tokens whose statistics it brought."""
        self._add(tokens_applied=tokens, apply_seconds=seconds)

    def wrote_part(self, seconds: float) -> None:
        """Count the time that a part of a snapshot took."""
        self._add(parts=1, snapshot_seconds=seconds)

    def _add(self, **more: float) -> None:
        with self._lock:
            changes = {name: getattr(self.done, name) + value for name, value in more.items()}
            self.done = replace(self.done, **changes)
