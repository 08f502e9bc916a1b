"""How far runs are that have no final snapshot yet, as pages show it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streams.errors import StreamError

_log = logging.getLogger(__name__)
_AFTER_FAILURE = 30.0
COMPUTING = "activations"
"""The side whose records are batches of the corpus."""


@dataclass(frozen=True, slots=True)
class Side:
    """How far one side of a run has come in the records that it reads; None: nobody knows.

    rate: records per second between the last two looks. eta: seconds until the lag is gone.
    watermark: the share that is done of the partition that is furthest behind. workers: that read.
    """

    name: str
    records: int | None
    done: int | None
    lag: int | None
    rate: float | None = None
    eta: float | None = None
    watermark: float | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run that is not finished. failed: why it never will be.

    tokens_per_batch: of its corpus, None before that is whole. tokens_per_second: that activations
    were computed of between the last two looks. dead_letters: records of it that were refused.
    """

    run: str
    model: str
    corpus: str
    sides: tuple[Side, ...]
    failed: str | None = None
    tokens_per_batch: float | None = None
    tokens_per_second: float | None = None
    dead_letters: int = 0

    def with_sides(self, sides: tuple[Side, ...]) -> "RunProgress":
        """Return the same with the sides as they are now."""
        rate = next((side.rate for side in sides if side.name == COMPUTING), None)
        known = rate is not None and self.tokens_per_batch is not None
        tokens = (rate or 0.0) * (self.tokens_per_batch or 0.0) if known else None
        return replace(self, sides=sides, tokens_per_second=tokens)


Look = Callable[[], Sequence[RunProgress]]


class ProgressWatch:
    """Looks every ``interval`` seconds, and tells rates from one look to the next."""

    def __init__(self, look: Look, interval: float = 2.0) -> None:
        self._look = look
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._before: tuple[float, tuple[RunProgress, ...]] = (0.0, ())

    @property
    def runs(self) -> tuple[RunProgress, ...]:
        """The runs that are not finished, as of the last look."""
        return self._before[1]

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for the last look."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, now: float) -> None:
        """Look once; now: seconds of a clock that only goes on."""
        then, before = self._before
        old = {(run.run, side.name): side for run in before for side in run.sides}
        found = [
            run.with_sides(
                tuple(rated(s, old.get((run.run, s.name)), now - then) for s in run.sides)
            )
            for run in self._look()
        ]
        self._before = now, tuple(found)

    def _follow(self) -> None:
        said = ""
        while not self._stop.is_set():
            pause = self._interval
            try:
                self.look(time.monotonic())
            except StreamError as error:  # such as rights that only show snapshots
                if str(error) != said:
                    _log.warning("how far runs are is unknown: %s", error)
                said, pause = str(error), _AFTER_FAILURE
            except Exception:
                _log.exception("looking for progress failed")
                pause = _AFTER_FAILURE
            self._stop.wait(pause)


def rated(side: Side, before: Side | None, seconds: float) -> Side:
    """Return a side with its rate since an earlier look, if something is known of both."""
    if before is None or before.done is None or side.done is None or seconds <= 0:
        return side
    rate = max(side.done - before.done, 0) / seconds
    eta = side.lag / rate if rate and side.lag is not None else None
    return replace(side, rate=rate, eta=eta)
