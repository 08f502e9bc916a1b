"""Components of one source for a whole batch on a device of its own: only non-zeros come out."""

import time

import torch
from torch import Tensor

from consumers.activations.encoders import Encoder
from consumers.activations.nonzeros import NonZeros, out_of_memory
from consumers.activations.timings import Timings
from streams.arrays import AnyArray, Bool
from streams.errors import NotFiniteError

# Products held at once. 64 MiB of float32 or half of it in bfloat16: near what a data centre GPU's
# second-level cache holds, and enough work for one launch.
PRODUCTS = 2**24


class OnDevice:
    """Computes the components of one source, chunk after chunk, and keeps what is not 0.

    The same numbers as ``Chunks`` up to the rounding of the device's product. Everything stays on
    the device until one transfer per batch.
    """

    def __init__(self, name: str, encoder: Encoder, kept: Bool, device: torch.device) -> None:
        self.name = name
        self.encoder = encoder
        self.components = len(kept)
        self.kept = None if kept.all() else torch.from_numpy(kept).to(device)

    def collect(self, hooked: Tensor, timings: Timings) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a component is NaN or infinite, and the device's own error if not
        even one component fits its memory.
        """
        start = time.perf_counter()
        prepared = self.encoder.prepare(hooked)
        size = min(max(PRODUCTS // max(len(prepared), 1), 1), self.components)
        found = list[tuple[Tensor, Tensor, Tensor]]()
        finite = torch.ones((), dtype=torch.bool, device=prepared.device)
        first = 0
        while first < self.components:
            stop = min(first + size, self.components)
            try:
                part, good = self._chunk(prepared, first, stop)
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size //= 2
                timings.splits += 1
                continue
            found.append(part)
            finite, first = finite & good, stop
        count, token, value = (torch.cat(part) for part in zip(*found, strict=True))
        timings.encode += time.perf_counter() - start
        start = time.perf_counter()
        result = NonZeros(_to_host(count), _to_host(token), _to_host(value))
        if not finite.item():
            raise NotFiniteError(f"source {self.name}")
        timings.passes += 2
        timings.select += time.perf_counter() - start
        return result

    def _chunk(
        self, prepared: Tensor, first: int, stop: int
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """Return count, token and value of some components, and whether all are finite."""
        out = prepared.new_empty((stop - first, len(prepared)), dtype=self.encoder.dtype)
        out = self.encoder.products(prepared)(first, stop, out)
        values = out.float()
        if self.encoder.rule is not None:
            rule = self.encoder.rule.part(first, stop)
            raw = rule.unruled(values)
            values = torch.where(raw < float("inf"), rule.values(values), raw)  # NaN stays
        if self.kept is not None:
            values = torch.where(self.kept[first:stop, None], values, 0.0)
        component, token = values.nonzero(as_tuple=True)
        value = values[component, token]
        count = torch.bincount(component, minlength=stop - first)
        return (count, token.int(), value), torch.isfinite(value).all()


def _to_host(values: Tensor) -> AnyArray:
    """Return values as an array, from CUDA through memory that the device can write by itself."""
    if values.device.type != "cuda":
        return values.cpu().numpy()
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).synchronize()
    return pinned.numpy()
