"""TopK dictionaries on a GPU: a chunked top-k of keys that are ordered by value, then component.

A value's bits above 2**31 - 1 - component are one int64: positive floats are ordered like their
bits, so that keys differ, and of equal values the lower component has the larger key.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import TopKForm
from consumers.encoders.gpu.chunk_sizes import at_once
from consumers.encoders.gpu.dense import by_component
from consumers.encoders.gpu.device_nonzeros import DeviceNonZeros, joined
from consumers.encoders.halving import in_chunks
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from streams.arrays import Bool

# Keys held at once, at the least, 8 bytes each; a fourth of the products, which are smaller.
KEYS = 2**24
_LOW = 0x7FFFFFFF


class GpuTopK:
    """Computes some components at a time and keeps the k largest of each token.

    The same numbers as ``CpuTopK`` up to the rounding of the device's product.
    """

    def __init__(self, name: str, form: TopKForm, kept: Bool, device: torch.device) -> None:
        self.name = name
        self.form = form
        self._kept = torch.from_numpy(kept).to(device)

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a component is NaN or infinite, and the device's own error if not
        even one component fits its memory.
        """
        return joined(self.chunks(hooked, timings), self.name, timings)

    def chunks(
        self, hooked: Tensor, timings: Timings, valid: Tensor | None = None
    ) -> Iterator[DeviceNonZeros]:
        """Yield all components at once; a value that is NaN is infinite here."""
        keys = self._largest(hooked, timings)
        token, slot = (keys > 0).nonzero(as_tuple=True)
        key = keys[token, slot]
        component = _LOW - (key & _LOW)
        value = (key >> 32).int().view(torch.float32)
        kept = self._kept[component]
        yield by_component(component[kept], token[kept], value[kept], len(self._kept))

    def _largest(self, hooked: Tensor, timings: Timings) -> Tensor:
        """Return the k largest keys of each token, int64 [token, k]; 0 where no value is above 0.

        What is not finite at a component that is kept stays among them, as infinity.
        """
        form, tokens, components = self.form, len(hooked), len(self._kept)
        prepared = form.linear.prepare(hooked)
        products = form.linear.products(prepared)
        best = torch.zeros((tokens, form.k), dtype=torch.int64, device=hooked.device)
        bad = torch.zeros((tokens, 1), dtype=torch.int64, device=hooked.device)
        keys = max(KEYS, at_once(hooked.device, KEYS) // 4)
        size = min(max(keys // max(tokens, 1), 1), components)

        def merge(first: int, stop: int) -> None:
            nonlocal best, bad
            room = prepared.new_empty((stop - first, tokens), dtype=form.linear.dtype)
            keys = self._keys(products(first, stop, room)[:, :tokens], first, stop)
            infinite = (keys >> 32 == _INFINITE) & self._kept[first:stop, None]
            bad = torch.maximum(bad, torch.where(infinite, keys, 0).amax(0)[:, None])
            best = torch.cat([best, keys.T], dim=1).topk(form.k, dim=1, sorted=False).values

        for _ in in_chunks(merge, components, size, timings):
            pass  # each chunk was merged into best and bad
        return torch.cat([best, torch.where((best == bad).any(1, keepdim=True), 0, bad)], dim=1)

    def _keys(self, product: Tensor, first: int, stop: int) -> Tensor:
        form = self.form
        value = (product + form.shift[first:stop, None]) * form.scale[first:stop, None]
        value = torch.where(value < torch.inf, value, torch.inf)  # NaN too
        component = torch.arange(first, stop, device=value.device)[:, None]
        key = value.view(torch.int32).long() << 32 | (_LOW - component)
        return torch.where(value > 0, key, 0)


_INFINITE = 0x7F800000

KIND = EncoderKind(
    TopKForm, "gpu", lambda job, form: GpuTopK(job.source, form, job.kept, job.device)
)
