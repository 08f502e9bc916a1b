"""Which micro-batch to take: measuring sizes without running out of memory, and the choice.

Nothing here knows a model: what is tried, the clock and the memory are arguments.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

WITHIN = 0.03
# Share of the free memory that a size may be expected to take. The rest is for what grows by
# itself meanwhile, and for a prediction that was too low.
SHARE = 0.75
MOST_ROUNDS = 9
FIGURE_SECONDS = 0.1


class NoRoomError(Exception):
    """The device ran out of memory in a trial."""


class Memory(Protocol):
    """What the device or the machine has, in bytes."""

    def used(self) -> int:
        """Return what this process holds."""

    def free(self) -> int:
        """Return what it can still take."""

    def peak(self, work: Callable[[], object]) -> int:
        """Do some work and return the most that the process held meanwhile."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: about ``seconds``, but ``least`` rounds over all sizes in any case.

    cut: larger sizes are left out once half of the time is spent on their first forwards.
    """

    seconds: float
    least: int = 3
    cut: bool = False


THOROUGH = Effort(seconds=60.0)
QUICK = Effort(seconds=4.0, least=1, cut=True)


@dataclass(frozen=True, slots=True)
class Measured:
    """One size. rates: tokens per second, one figure per round; none if it was not run.

    peak: most bytes held; for a size that does not fit, the bytes it was expected to hold, or None
    if the device refused it.
    """

    micro_batch: int
    fits: bool
    peak: int | None
    rates: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Tokens per second, the median of the rounds; 0 if it was not run."""
        return median(self.rates) if self.rates else 0.0


def sizes(rows: int) -> tuple[int, ...]:
    """Return the sizes to try for batches of ``rows`` rows: doublings, and a batch as a whole."""
    doublings = [1 << power for power in range(rows.bit_length())]
    return tuple(sorted({*doublings, rows}))


def best(measured: Sequence[Measured], within: float = WITHIN) -> Measured | None:
    """Return the smallest size that is within a share of the fastest; None if none was run.

    Smaller ones take less memory, and split a batch less unevenly.
    """
    run = [one for one in measured if one.fits and one.rates]
    enough = (1 - within) * max((one.rate for one in run), default=0.0)
    fast = (one for one in run if one.rate >= enough)
    return min(fast, key=lambda one: one.micro_batch, default=None)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Measures sizes, smallest first, then all that fit in turn, so that a slow moment hits all.

    trial: takes a size and returns what computes some forwards of so many rows and returns their
    tokens; either may raise NoRoomError. row_bytes: what one row takes at the least.
    """

    trial: Callable[[int], Callable[[], int]]
    memory: Memory
    clock: Callable[[], float]
    effort: Effort
    row_bytes: int = 0

    def measure(self, rows: int) -> tuple[Measured, ...]:
        """Return a measurement per size for batches of ``rows`` rows, up to what does not fit."""
        begun = self.clock()
        found = list(self._climb(sizes(rows), begun))
        for turn in range(MOST_ROUNDS):
            if turn >= self.effort.least and self.clock() - begun > self.effort.seconds:
                break
            found = [self._timed(one) if one.fits else one for one in found]
        return tuple(found)

    def _climb(self, wanted: Sequence[int], begun: float) -> Iterator[Measured]:
        """Yield the peak of each size, not run if what smaller ones took says it will not fit."""
        base, taken = self.memory.used(), float(self.row_bytes)
        for number, size in enumerate(wanted):
            if number and self.effort.cut and self.clock() - begun > self.effort.seconds / 2:
                return
            # What the process has taken since the start it would use again, so it counts as free.
            room = self.memory.free() + max(self.memory.used() - base, 0)
            if taken * size > SHARE * room:
                yield Measured(size, False, base + int(taken * size))
                return
            try:
                peak = self.memory.peak(self.trial(size))
            except NoRoomError:
                yield Measured(size, False, None)
                return
            taken = max(self.row_bytes, (peak - base) / size)
            yield Measured(size, True, peak)

    def _timed(self, one: Measured) -> Measured:
        """Return the measurement with one more figure, after a forward that does not count."""
        tokens = 0
        try:
            work = self.trial(one.micro_batch)
            work()
            begun = self.clock()
            while not tokens or self.clock() - begun < FIGURE_SECONDS:
                tokens += work()
            spent = self.clock() - begun
        except NoRoomError:
            return replace(one, fits=False, rates=())
        return replace(one, rates=(*one.rates, tokens / max(spent, 1e-9)))
