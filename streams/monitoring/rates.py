"""How fast something goes, from what was done at a few moments of the last minute."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rates:
    """Totals by name at moments of the last ``seconds``, oldest first.

    samples: (time in seconds, totals). A name that is missing in a sample counts as 0 there.
    """

    seconds: float = 60.0
    samples: tuple[tuple[float, Mapping[str, float]], ...] = ()

    def after(self, now: float, totals: Mapping[str, float]) -> "Rates":
        """Return the rates with one more moment, and without those that are too old.

        The last one from before the window stays, so that the window is always covered.
        """
        known = self.samples
        while len(known) > 1 and known[1][0] <= now - self.seconds:
            known = known[1:]
        return replace(self, samples=(*known, (now, totals)))

    def rate(self, name: str) -> float | None:
        """Return how much a second was added to a total; None before two moments are known."""
        if len(self.samples) < 2:
            return None
        (first, before), (last, after) = self.samples[0], self.samples[-1]
        if last <= first:
            return None
        return max(0.0, after.get(name, 0.0) - before.get(name, 0.0)) / (last - first)

    def eta(self, name: str, left: float) -> float | None:
        """Return the seconds until ``left`` more is done; None while nothing is."""
        if left <= 0:
            return 0.0
        rate = self.rate(name)
        return left / rate if rate else None
