"""Room for the products of one chunk of components: how large a chunk is, and where it lies."""

from collections.abc import Iterator

import torch
from torch import Tensor

from consumers.encoders.timings import Timings
from consumers.models.out_of_memory import out_of_memory

# Products held at once: 8 MiB of float32, which processors keep close while they are read.
PRODUCTS = 2**21
_LEAST, _MOST, _STEP = 64, 4096, 64


class Buffer:
    """Room for products that all sources of an engine take in turn."""

    def __init__(self) -> None:
        self._room = torch.empty(0, dtype=torch.uint8)

    def take(self, numbers: int, dtype: torch.dtype) -> Tensor:
        """Return room for numbers of a dtype, holding anything; it is one for all callers."""
        size = numbers * dtype.itemsize
        if len(self._room) < size:
            self._room = torch.empty(0, dtype=torch.uint8)  # gives the old one back first
            self._room = torch.empty(size, dtype=torch.uint8)
        return self._room[:size].view(dtype)

    def chunk(
        self, tokens: int, components: int, dtype: torch.dtype, timings: Timings, beside: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return room for the products [component, token or more] of one chunk, and more beside it.

        beside: how many numbers of the dtype. If memory runs out the chunk is halved; raises the
        error of the allocation if there is not even room for one component.
        """
        stride = max(-(-tokens // 64), 1) * 64  # whole lines of the cache
        size = min(max(PRODUCTS // stride // _STEP * _STEP, _LEAST), _MOST, components)
        while True:
            try:
                room = self.take(size * stride + beside, dtype)
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size //= 2
                timings.splits += 1
            else:
                return room[: size * stride].view(size, stride), room[size * stride :]


def parts(components: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield first and stop of each chunk of ``size`` components."""
    for first in range(0, components, size):
        yield first, min(first + size, components)
