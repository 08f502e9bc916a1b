"""Laps of work on a device: how long each took there, without waiting for the device in between."""

import time
from itertools import pairwise
from typing import Any

import torch


class Laps:
    """Marks the ends of laps; the first one begins when it is made.

    On CUDA marks are events in its own order of work, elsewhere moments.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._moments = list[float]()
        self._events = list[Any]()
        self.mark()

    def mark(self) -> None:
        """Note that a lap ends here."""
        if self._device.type != "cuda":
            self._moments.append(time.perf_counter())
            return
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._events.append(event)

    def seconds(self) -> list[float]:
        """Return the seconds of each lap, once the device has done them."""
        if self._events:
            self._events[-1].synchronize()
        laps = [begin.elapsed_time(end) / 1000 for begin, end in pairwise(self._events)]
        return laps + [end - begin for begin, end in pairwise(self._moments)]
