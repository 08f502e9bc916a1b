"""Samples how fast the workers of this process are, and says so every half minute."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from consumers.health.progress import Progress, Side, WorkerPosition
from consumers.plan import Plan
from streams.monitoring import events

SIDES: tuple[Side, ...] = ("activations", "aggregates")
_SAMPLE_SECONDS = 1.0
_REPORT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one side of this process is: in a second of the last minute; None if unknown yet.

    eta: seconds until the records that it was assigned and has not processed are done.
    """

    rows: float | None
    tokens: float | None
    records: float | None
    eta: float | None


def totals(progress: Progress, processor_seconds: float) -> Mapping[str, float]:
    """Return what rates are taken of."""
    done = progress.done
    return {
        "activations.rows": done.rows,
        "activations.tokens": done.tokens,
        "activations.records": done.records,
        "aggregates.rows": done.rows_applied,
        "aggregates.tokens": done.tokens_applied,
        "aggregates.records": done.partials,
        "device": max(0.0, done.compute_seconds - done.select_seconds),
        "processor": processor_seconds,
    }


def positions(progress: Progress, side: Side) -> list[WorkerPosition]:
    """Return where the workers of one side stand."""
    return [position for position in progress.positions.values() if position.side == side]


def speed(progress: Progress, side: Side) -> Speed:
    """Return how fast a side is. Rows and tokens that several shards count are counted once."""
    found, rates = positions(progress, side), progress.rates
    left = sum(sum(position.unread.values()) for position in found)
    shards = max(1, sum(len(position.chains) for position in found))
    rows, tokens = rates.rate(f"{side}.rows"), rates.rate(f"{side}.tokens")
    return Speed(
        None if rows is None else rows / shards,
        None if tokens is None else tokens / shards,
        rates.rate(f"{side}.records"),
        rates.eta(f"{side}.records", left) if found else None,
    )


class Reporter:
    """A thread that samples each second and says an event of progress per side each half minute."""

    def __init__(
        self,
        plan: Plan,
        progress: Progress,
        *,
        every: float = _REPORT_SECONDS,
        sample_every: float = _SAMPLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.process_time,
    ) -> None:
        self._plan = plan
        self._progress = progress
        self._every = every
        self._sample_every = sample_every
        self._clock = clock
        self._processor = processor
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def __enter__(self) -> "Reporter":
        """Begin to sample."""
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, after a last sample."""
        self._ended.set()
        self._thread.join()
        self.sample()

    def sample(self) -> None:
        """Take a sample now."""
        self._progress.sample(self._clock(), totals(self._progress, self._processor()))

    def _run(self) -> None:
        said = self._clock()
        while not self._ended.wait(self._sample_every):
            self.sample()
            if self._clock() - said >= self._every:
                said = self._clock()
                self.report()

    def report(self) -> None:
        """Say how far each side that works here is."""
        for side in SIDES:
            for fields in self._reports(side):
                events.say(events.PROGRESS, **fields)

    def _reports(self, side: Side) -> Iterator[Mapping[str, object]]:
        # Workers of one side in one process share their group, so that any knows its total.
        found = positions(self._progress, side)
        if not found:
            return
        fast = speed(self._progress, side)
        yield {
            "side": side,
            "run": self._plan.run.name,
            "corpus": self._plan.run.corpus,
            "done": max(position.done for position in found),
            "total": max(position.total for position in found),
            "unit": "records",
            "lag": sum(sum(position.lag.values()) for position in found),
            "rows_per_second": fast.rows,
            "tokens_per_second": fast.tokens,
            "eta_seconds": fast.eta,
        }
