"""Seconds, processor seconds and memory of this process; the standard library is all it needs."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")
_CORES = Path("/proc/stat")
Clocks = tuple[float, float, float]
"""Seconds that all cores were busy, that this process was, and of the wall clock."""


@dataclass
class Lap:
    """Wall and processor time of all threads, in seconds, added up over its uses."""

    seconds: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed(lap: Lap) -> Iterator[Lap]:
    """Add the time of the block to a lap."""
    seconds, cpu = time.perf_counter(), time.process_time()
    try:
        yield lap
    finally:
        lap.seconds += time.perf_counter() - seconds
        lap.cpu += time.process_time() - cpu


def watched(function: Callable[..., Any], lap: Lap) -> Callable[..., Any]:
    """Return a function that does the same and adds its time to a lap."""

    def call(*args: Any, **options: Any) -> Any:
        with timed(lap):
            return function(*args, **options)

    return call


@dataclass
class Memory:
    """The most memory that is resident from now on, over ``start`` in bytes, by default over now.

    Linux alone tells this for a stretch of time; elsewhere nothing is reported.
    """

    start: int | None = None

    def __post_init__(self) -> None:
        gc.collect()
        if self.start is None:
            self.start = _resident("VmRSS")
        if self.start is not None:
            _FORGET.write_text("5")

    def over_start(self) -> int | None:
        """Return the peak over the start in bytes, or None."""
        peak = _resident("VmHWM")
        return None if peak is None or self.start is None else max(0, peak - self.start)


def taken(before: Clocks, after: Clocks, cores: int) -> float:
    """Return the share of all cores that others took between two readings of the clocks."""
    busy, own, wall = (late - early for early, late in zip(before, after, strict=True))
    return max(0.0, busy - own) / (wall * cores)


class Others:
    """How much of the machine other processes take from now on, so that a disturbed run is seen."""

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """Return their share of all cores' time, the host's own included; None off Linux."""
        if self._start is None or (now := self._now()) is None:
            return None
        return taken(self._start, now, os.cpu_count() or 1)

    @staticmethod
    def _now() -> Clocks | None:
        if not _CORES.exists():
            return None
        user, nice, system, _, _, interrupts, soft, stolen = (
            int(word) for word in _CORES.read_text().split()[1:9]
        )
        ticks = user + nice + system + interrupts + soft + stolen
        return ticks / os.sysconf("SC_CLK_TCK"), time.process_time(), time.perf_counter()


def _resident(key: str) -> int | None:
    if not (_STATUS.exists() and _FORGET.exists()):
        return None
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == f"{key}:"), None)
