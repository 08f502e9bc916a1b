"""Components that only a source's own encode can compute: some tokens at a time, then sorted."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from consumers.activations.nonzeros import (
    NonZeroBuffer,
    NonZeros,
    append_non_zeros,
    by_component,
    out_of_memory,
)
from consumers.activations.on_device import to_host
from consumers.activations.timings import Timings
from streams.arrays import F32, I32, Bool
from streams.errors import NotFiniteError


class Dense:
    """Encodes ``size`` tokens, or rows, at a time and keeps what is not 0.

    encode: hook values [token, width], or with ``valid`` [row, position] those of whole rows [row,
    position, width], -> components [token, component] of the valid tokens. If memory runs out the
    rest of the batch goes on in halves, down to one, which can move the last bits.
    """

    def __init__(
        self, name: str, encode: Callable[[Tensor, Tensor | None], Tensor], kept: Bool, size: int
    ) -> None:
        self.name = name
        self.encode = encode
        self.kept = kept
        self.size = size
        self._store = NonZeroBuffer()

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values, of whole rows with ``valid``.

        Tokens are the valid ones. Raises NotFiniteError if a component is NaN or infinite, and the
        error of the device if not even one token, or row, fits its memory.
        """
        found, at, size, tokens = list[tuple[I32, I32, F32]](), 0, self.size, 0
        while at < len(hooked):
            size = min(size, len(hooked) - at)
            part = slice(at, at + size)
            start = time.perf_counter()
            try:
                values = self.encode(hooked[part], None if valid is None else valid[part])
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size //= 2
                timings.splits += 1
                continue
            middle = time.perf_counter()
            token, component, value = self._found(values, timings)
            found.append((token + np.int32(tokens), component, value))
            timings.encode += middle - start
            timings.select += time.perf_counter() - middle
            at, tokens = at + size, tokens + len(values)
        start = time.perf_counter()
        result = self._sorted(found)
        timings.select += time.perf_counter() - start
        return result

    def _found(self, values: Tensor, timings: Timings) -> tuple[I32, I32, F32]:
        """Return token, component and value of the non-zeros of values [token, component]."""
        if values.device.type != "cpu":
            token, component = values.nonzero(as_tuple=True)
            bits = values[token, component].float().view(torch.int32)
            out = to_host(torch.stack([token.int(), component.int(), bits]), timings)
            return out[0], out[1], out[2].view(np.float32)
        tokens, components = values.shape
        numbers = values.float().contiguous().view(torch.int32).numpy()
        count, store = np.zeros(tokens, np.int64), self._store
        store.used = 0
        store.reserve(tokens * components)
        everything = np.ones(tokens, np.bool_)
        used = append_non_zeros(numbers, components, everything, store.token, store.value, count, 0)
        token_of = np.repeat(np.arange(tokens, dtype=np.int32), count)
        return token_of, store.token[:used].copy(), store.value[:used].copy()

    def _sorted(self, found: list[tuple[I32, I32, F32]]) -> NonZeros:
        """Return parts, each sorted by token, as one; without the components that are dropped."""
        token, component, value = (np.concatenate(part) for part in zip(*found, strict=True))
        if not self.kept.all():
            live = self.kept[component]
            token, component, value = token[live], component[live], value[live]
        if not np.isfinite(value).all():
            raise NotFiniteError(f"source {self.name}")
        count = np.bincount(component, minlength=len(self.kept))
        result = NonZeros(count, np.empty_like(token), np.empty_like(value))
        first = np.cumsum(count) - count
        by_component(component, token, value, first, result.token, result.value)
        return result
