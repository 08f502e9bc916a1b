"""Components computed some at a time, half as many where the device's memory runs out."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from consumers.encoders.timings import Timings
from consumers.models.out_of_memory import out_of_memory

T = TypeVar("T")


def in_chunks(
    compute: Callable[[int, int], T], components: int, size: int, timings: Timings
) -> Iterator[T]:
    """Yield ``compute(first, stop)`` of all components in order, ``size`` of them at a time.

    If memory runs out the chunk is halved and computed again; raises the device's own error if not
    even one component fits.
    """
    first = 0
    while first < components:
        stop = min(first + size, components)
        try:
            found = compute(first, stop)
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not out_of_memory(error):
                raise
            size //= 2
            timings.splits += 1
        else:
            yield found
            first = stop
