"""Timing candidates fairly: each takes its turn in every round, so that drift meets them all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one quantity, round by round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)

    def row(self, name: str = "") -> dict[str, float]:
        """Return median, low and high as columns of a report, their names led by ``name``."""
        prefix = f"{name} " if name else ""
        return {
            f"{prefix}median": self.median,
            f"{prefix}low": self.low,
            f"{prefix}high": self.high,
        }


@dataclass(frozen=True, slots=True)
class Timed(Spread):
    """Seconds of one candidate, round by round."""


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    after: Callable[[str, int], None] = lambda name, round_number: None,
) -> dict[str, Timed]:
    """Return the seconds of each candidate in each of ``rounds`` rounds, after ``warm_up`` more.

    In a round each candidate runs once; where it begins moves on by one per round, so that none
    always follows the same one with the same caches. What a candidate returns is thrown away.
    after: called with the name and the round's number, negative in a warm-up, after each.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_up, rounds):
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            begun = clock()
            candidates[name]()
            spent = clock() - begun
            if number >= 0:
                seconds[name].append(spent)
            after(name, number)
    return {name: Timed(tuple(spent)) for name, spent in seconds.items()}


def ratio(above: Spread, below: Spread) -> Spread:
    """Return ``above / below`` round by round: how many times as long the first one took.

    The speed-up of a candidate over a reference is ``ratio(reference, candidate)``. Raises
    ValueError if they had different rounds.
    """
    return Spread(tuple(a / b for a, b in zip(above.values, below.values, strict=True)))


def total(*parts: Spread) -> Spread:
    """Return the sum of several candidates, round by round."""
    return Spread(tuple(sum(values) for values in zip(*(p.values for p in parts), strict=True)))


def per(measured: Spread, count: float) -> Spread:
    """Return each value divided by ``count``."""
    return Spread(tuple(value / count for value in measured.values))
