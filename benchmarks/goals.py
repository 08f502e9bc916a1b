"""Ratios that a benchmark has to reach, and whether it did."""

from collections.abc import Mapping
from typing import Any

from benchmarks.timing import Spread, ratio

Goals = Mapping[tuple[str, str], float]


def reached(shape: str, measured: Mapping[str, Spread], goals: Goals) -> list[dict[str, Any]]:
    """Return a row per goal: the ratio of two measurements, and whether its median is enough.

    goals: (slower, faster) -> the least that slower / faster must be.
    """
    return [
        judged(f"{slow} / {fast}", shape, ratio(measured[slow], measured[fast]), goal)
        for (slow, fast), goal in goals.items()
    ]


def judged(what: str, shape: str, found: Spread, goal: float) -> dict[str, Any]:
    """Return one goal's row; ``found`` must be at least ``goal``."""
    met = "yes" if found.median >= goal else "no"
    return {"shape": shape, "ratio": what, "measured": found, "goal": f">= {goal:.4g}", "met": met}
