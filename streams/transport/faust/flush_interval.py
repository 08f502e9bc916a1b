"""Adaptive flush interval: flushes take at most 1 % of a worker's time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushInterval:
    """The time from one flush to the next, in seconds, chosen from how long a flush takes.

    share: of the time, that flushes may take. least, most: bounds, which hold whatever they take;
    ``most`` is also about what a worker that died has to read again.
    """

    share: float = 0.01
    least: float = 1.0
    most: float = 120.0

    def after(self, seconds: float) -> float:
        """Return how long to wait after a flush that took ``seconds``."""
        return min(max(seconds / self.share, self.least), self.most)


def steady(seconds: float) -> FlushInterval:
    """Return the pace of flushes ``seconds`` apart."""
    return FlushInterval(least=seconds, most=seconds)
