"""Dense forms on any device: a function, called for some tokens at a time, and what is not 0."""

import time
from collections.abc import Callable, Iterator

import numpy as np
from torch import Tensor

from consumers.encoders.forms import DenseForm
from consumers.encoders.nonzeros import NonZeros, by_component
from consumers.encoders.timings import Timings
from consumers.models.out_of_memory import out_of_memory
from streams.arrays import F32, I32, Bool
from streams.errors import NotFiniteError

Find = Callable[[Tensor, Timings], tuple[I32, I32, F32]]
"""Values [token, component] -> token, component and value of those that are not 0, by token."""


class DenseEncoder:
    """Encodes ``size`` tokens, or rows, at a time and keeps what is not 0.

    find: how the device finds the non-zeros. If memory runs out the rest of the batch goes on in
    halves, down to one, which can move the last bits.
    """

    def __init__(self, name: str, form: DenseForm, kept: Bool, size: int, find: Find) -> None:
        self.name = name
        self.form = form
        self.kept = kept
        self.size = size
        self._find = find

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values, of whole rows with ``valid``.

        Tokens are the valid ones. Raises NotFiniteError if a component is NaN or infinite, and the
        error of the device if not even one token, or row, fits its memory.
        """
        found, tokens = list[tuple[I32, I32, F32]](), 0
        for values in self.parts(hooked, timings, valid):
            start = time.perf_counter()
            token, component, value = self._find(values, timings)
            found.append((token + np.int32(tokens), component, value))
            timings.select += time.perf_counter() - start
            tokens += len(values)
        start = time.perf_counter()
        result = self._sorted(found)
        timings.select += time.perf_counter() - start
        return result

    def parts(self, hooked: Tensor, timings: Timings, valid: Tensor | None) -> Iterator[Tensor]:
        """Yield the components [token, component] of the valid tokens, some tokens at a time."""
        at, size = 0, self.size
        while at < len(hooked):
            size = min(size, len(hooked) - at)
            part = slice(at, at + size)
            start = time.perf_counter()
            try:
                values = self.form.at(hooked[part], None if valid is None else valid[part])
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size //= 2
                timings.splits += 1
                continue
            timings.encode += time.perf_counter() - start
            at += size
            yield values

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
