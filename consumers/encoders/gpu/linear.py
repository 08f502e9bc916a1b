"""Linear forms on a GPU: products by large chunks, compared and compacted there."""

from collections.abc import Iterator

import torch
from torch import Tensor

from consumers.encoders.encoder import EncoderKind
from consumers.encoders.float_order import NEVER, order
from consumers.encoders.forms import LinearForm
from consumers.encoders.gpu.chunk_sizes import at_once
from consumers.encoders.gpu.device_nonzeros import DeviceNonZeros, joined
from consumers.encoders.halving import in_chunks
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.rules import Rule
from consumers.encoders.timings import Timings
from streams.arrays import Bool

# Products held at once, at the least: 64 MiB of float32.
PRODUCTS = 2**24


class GpuLinear:
    """Computes the components of one source, chunk after chunk, and keeps what is not 0.

    The same numbers as ``CpuLinear`` up to the rounding of the device's product, which is written
    once and compared once; the rest is done to what fires.
    """

    def __init__(self, name: str, form: LinearForm, kept: Bool, device: torch.device) -> None:
        self.name = name
        self.form = form
        self.components = len(kept)
        self._kept = torch.from_numpy(kept).to(device)
        self._all_kept = bool(kept.all())
        self._least = None if form.rule is None else _least(form.rule)

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a component is NaN or infinite, and the device's own error if not
        even one component fits its memory.
        """
        return joined(self.chunks(hooked, timings), self.name, timings)

    def chunks(
        self, hooked: Tensor, timings: Timings, valid: Tensor | None = None
    ) -> Iterator[DeviceNonZeros]:
        """Yield the non-zeros of hook values [token, width] on the device, some components a time.

        Values may be NaN or infinite. If memory runs out the chunk is halved; raises the device's
        own error if not even one component fits.
        """
        prepared = self.form.prepare(hooked)
        products = self.form.products(prepared)
        products_at_once = at_once(self._kept.device, PRODUCTS)
        size = min(max(products_at_once // max(len(prepared), 1), 1), self.components)

        def chunk(first: int, stop: int) -> DeviceNonZeros:
            room = prepared.new_empty((stop - first, len(prepared)), dtype=self.form.dtype)
            return self._chunk(products(first, stop, room), first, stop)

        yield from in_chunks(chunk, self.components, size, timings)

    def _chunk(self, product: Tensor, first: int, stop: int) -> DeviceNonZeros:
        """Return what is not 0 of some components."""
        # NaN is not below anything, so that it is found among what fires.
        silent = product == 0 if self._least is None else product < self._least[first:stop, None]
        fires = silent.logical_not_()
        if not self._all_kept:
            fires &= self._kept[first:stop, None]
        # The one wait of a chunk: how much there is decides how large what follows is.
        component, token = fires.nonzero(as_tuple=True)
        value = product[component, token].float()
        if self.form.rule is not None:
            rule = self.form.rule.part(first, stop)
            value = value * rule.scale[component] + rule.shift[component]
        ends = torch.arange(stop - first + 1, device=component.device)
        count = torch.searchsorted(component, ends).diff()
        return DeviceNonZeros(first, stop, count.int(), token.int(), value)


def _least(rule: Rule) -> Tensor:
    """Return the least product that fires, float32 [component]; infinity where none does.

    NaN where every value would be NaN, so that these are found, too.
    """
    ordered = rule.least()
    least = order(ordered.view(torch.float32)).view(torch.float32)
    least = least.masked_fill(ordered == NEVER, torch.inf)
    return least.masked_fill((rule.scale + rule.shift).isnan(), torch.nan)


KIND = EncoderKind(
    LinearForm, "gpu", lambda job, form: GpuLinear(job.source, form, job.kept, job.device)
)
