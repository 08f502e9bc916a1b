"""Which micro-batch to take: measuring sizes without running out of memory, and the choice.

Nothing here knows a model: what is tried, the clock and the memory are arguments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

WITHIN = 0.03
# Share of the free memory that a size may be expected to take. The rest is for what grows by
# itself meanwhile, and for a prediction that was too low.
SHARE = 0.75


class NoRoomError(Exception):
    """The device ran out of memory in a trial."""


class Memory(Protocol):
    """What the device or the machine has, in bytes."""

    def used(self) -> int:
        """Return what this process holds."""

    def free(self) -> int:
        """Return what it can still take."""

    def peak(self, work: Callable[[], None]) -> int:
        """Do some work and return the most that the process held meanwhile."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. seconds: in all, about; timing: one figure takes at least so long.

    At least ``least`` rounds and at most ``most``, time or not, after one pass over all sizes from
    the smallest on; with ``cut`` that pass ends when half of the time is spent.
    """

    seconds: float
    least: int = 3
    most: int = 9
    timing: float = 0.1
    cut: bool = False


THOROUGH = Effort(seconds=60.0)
QUICK = Effort(seconds=4.0, least=1, most=3, timing=0.05, cut=True)


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
    return min(
        (one for one in run if one.rate >= enough), key=lambda one: one.micro_batch, default=None
    )


@dataclass(frozen=True, slots=True)
class Tuning:
    """Measures sizes, smallest first, then all that fit in turn, so that a slow moment hits all.

    trial: takes a size and returns a function that computes so many rows and returns the tokens in
    them; either may raise NoRoomError. row_bytes: what one row takes at the least. least_rows: go
    into a figure at the least, since what a batch costs beside its forwards is not to be charged
    to small sizes. seen: told (done, total, size) before each figure.
    """

    trial: Callable[[int], Callable[[int], int]]
    memory: Memory
    clock: Callable[[], float]
    effort: Effort
    row_bytes: int = 0
    least_rows: int = 1
    seen: Callable[[int, int, int], None] = lambda done, total, size: None

    def measure(self, rows: int) -> tuple[Measured, ...]:
        """Return a measurement per size for batches of ``rows`` rows, up to what does not fit."""
        begun = self.clock()
        found = self._climb(rows, begun)
        for turn in range(self.effort.most):
            if turn >= self.effort.least and self.clock() - begun > self.effort.seconds:
                break
            for number, one in enumerate(found):
                done = len(found) * (1 + turn) + number
                self.seen(done, len(found) * (1 + self.effort.most), one.micro_batch)
                found[number] = self._timed(one, rows) if one.fits else one
        return tuple(found)

    def _climb(self, rows: int, begun: float) -> list[Measured]:
        """Return the peak of each size from one forward, until one does not fit."""
        base, found, wanted = self.memory.used(), list[Measured](), sizes(rows)
        for number, size in enumerate(wanted):
            spent = self.clock() - begun
            if found and self.effort.cut and spent > self.effort.seconds / 2:
                break
            self.seen(number, len(wanted) * (1 + self.effort.most), size)
            found.append(self._first(size, rows, found[-1] if found else None, base))
            if not found[-1].fits:
                break
        return found

    def _first(self, size: int, rows: int, smaller: Measured | None, base: int) -> Measured:
        """Return a size's peak; not run if what the smaller one took says that it will not fit."""
        growth = self.row_bytes * size
        if smaller and smaller.peak is not None:
            growth = max(growth, (smaller.peak - base) * size // smaller.micro_batch)
        # What the process has taken since the start it would use again, so it counts as free.
        room = self.memory.free() + max(self.memory.used() - base, 0)
        if growth > SHARE * room:
            return Measured(size, False, base + growth)
        try:
            peak = self.memory.peak(lambda: self._compute(size, self._forwards(size, rows)))
        except NoRoomError:
            return Measured(size, False, None)
        return Measured(size, True, peak)

    def _compute(self, size: int, forwards: int) -> None:
        self.trial(size)(size * forwards)

    def _forwards(self, size: int, rows: int, wanted: int = 1) -> int:
        """Return how many forwards a batch is to have: ``wanted``, if enough and not too many."""
        return min(max(wanted, -(-self.least_rows // size)), rows // size)

    def _timed(self, one: Measured, rows: int) -> Measured:
        """Return the measurement with one more figure, after a forward that does not count."""
        size, tokens = one.micro_batch, 0
        try:
            work = self.trial(size)
            once = self._seconds(work, size)
            forwards = self._forwards(size, rows, int(self.effort.timing / max(once, 1e-6)))
            begun = self.clock()
            while not tokens or self.clock() - begun < self.effort.timing:
                tokens += work(forwards * size)
            spent = self.clock() - begun
        except NoRoomError:
            return replace(one, fits=False, rates=())
        return replace(one, rates=(*one.rates, tokens / max(spent, 1e-9)))

    def _seconds(self, work: Callable[[int], int], size: int) -> float:
        begun = self.clock()
        work(size)
        return self.clock() - begun
