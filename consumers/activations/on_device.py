"""Components of one source for a whole batch on a device of its own: only non-zeros come out."""

import time

import numpy as np
import torch
from torch import Tensor

from consumers.activations.encoders import Encoder
from consumers.activations.nonzeros import NEVER, NonZeros, order, out_of_memory
from consumers.activations.rules import Rule
from consumers.activations.timings import Timings
from streams.arrays import I32, Bool
from streams.errors import NotFiniteError

# Products held at once: 64 MiB of float32 or half of it in bfloat16: near what a data centre GPU's
# second-level cache holds, and enough work for one launch.
PRODUCTS = 2**24


class OnDevice:
    """Computes the components of one source, chunk after chunk, and keeps what is not 0.

    The same numbers as ``Chunks`` up to the rounding of the device's product, which is written once
    and compared once; the rest is done to what fires. One transfer per batch brings that out.
    """

    def __init__(self, name: str, encoder: Encoder, kept: Bool, device: torch.device) -> None:
        self.name = name
        self.encoder = encoder
        self.components = len(kept)
        self._kept = torch.from_numpy(kept).to(device)
        self._least = None if encoder.rule is None else _least(encoder.rule)

    def collect(self, hooked: Tensor, timings: Timings) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a component is NaN or infinite, and the device's own error if not
        even one component fits its memory.
        """
        start = time.perf_counter()
        prepared = self.encoder.prepare(hooked)
        products = self.encoder.products(prepared)
        size = min(max(PRODUCTS // max(len(prepared), 1), 1), self.components)
        found = list[tuple[Tensor, Tensor, Tensor]]()
        first = 0
        while first < self.components:
            stop = min(first + size, self.components)
            try:
                room = prepared.new_empty((stop - first, len(prepared)), dtype=self.encoder.dtype)
                found.append(self._chunk(products(first, stop, room), first, stop))
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size //= 2
                timings.splits += 1
            else:
                first = stop
        count, token, value = (torch.cat(part) for part in zip(*found, strict=True))
        timings.encode += time.perf_counter() - start
        start = time.perf_counter()
        out = to_host(torch.cat([count, token, value.view(torch.int32)]), timings)
        counts, tokens, bits = np.split(out, np.cumsum([len(count), len(token)]))
        result = NonZeros(counts.astype(np.int64), tokens, bits.view(np.float32))
        if not np.isfinite(result.value).all():
            raise NotFiniteError(f"source {self.name}")
        timings.select += time.perf_counter() - start
        return result

    def _chunk(self, product: Tensor, first: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return count (int32), token (int32) and value of what fires of some components."""
        # NaN is not below anything, so that it is found among what fires.
        silent = product == 0 if self._least is None else product < self._least[first:stop, None]
        component, token = silent.logical_not_().nonzero(as_tuple=True)
        kept = self._kept[first:stop][component]
        component, token = component[kept], token[kept]
        value = product[component, token].float()
        if self.encoder.rule is not None:
            rule = self.encoder.rule.part(first, stop)
            value = value * rule.scale[component] + rule.shift[component]
        ends = torch.arange(stop - first + 1, device=component.device)
        count = torch.searchsorted(component, ends).diff()
        return count.int(), token.int(), value


def _least(rule: Rule) -> Tensor:
    """Return the least product that fires, float32 [component]; infinity where none does.

    NaN where every value would be NaN, so that these are found, too.
    """
    ordered = rule.least()
    least = order(ordered.view(torch.float32)).view(torch.float32)
    least = least.masked_fill(ordered == NEVER, torch.inf)
    return least.masked_fill((rule.scale + rule.shift).isnan(), torch.nan)


def to_host(values: Tensor, timings: Timings) -> I32:
    """Return int32 values of a device as an array, from CUDA through memory it writes by itself."""
    timings.host_bytes += values.nbytes
    if values.device.type != "cuda":
        return values.cpu().numpy()
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).synchronize()
    return pinned.numpy()
