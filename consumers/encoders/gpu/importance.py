"""Causal importances on a GPU: gates by large chunks, compacted there."""

from collections.abc import Iterator

import torch
from torch import Tensor

from consumers.encoders.encoder import EncoderKind
from consumers.encoders.gpu.device_nonzeros import DeviceNonZeros, joined
from consumers.encoders.halving import in_chunks
from consumers.encoders.importance_form import ImportanceForm
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from streams.arrays import Bool

# Numbers held at once between two layers of gates: 64 MiB of float32.
NUMBERS = 2**24


class GpuImportance:
    """Computes the gates of one source, chunk after chunk, and keeps what is not 0.

    The same numbers as ``CpuImportance`` up to the rounding of the device.
    """

    def __init__(self, name: str, form: ImportanceForm, kept: Bool, device: torch.device) -> None:
        self.name, self.form = name, form
        self._kept = torch.from_numpy(kept).to(device)

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a gate is NaN or infinite, and the device's own error if not even
        one component fits its memory.
        """
        return joined(self.chunks(hooked, timings), self.name, timings)

    def chunks(
        self, hooked: Tensor, timings: Timings, valid: Tensor | None = None
    ) -> Iterator[DeviceNonZeros]:
        """Yield the non-zeros of hook values on the device; NaN where a gate is not finite.

        If memory runs out the chunk is halved; raises the device's own error if not even one
        component fits.
        """
        prepared = self.form.gates.prepare(hooked)
        size = self.form.size(len(hooked), NUMBERS)

        def chunk(first: int, stop: int) -> DeviceNonZeros:
            values = self.form.part(prepared, first, stop)
            found = values.ne(0) & self._kept[first:stop, None]  # NaN is not 0
            component, token = found.nonzero(as_tuple=True)
            return DeviceNonZeros(
                first, stop, found.sum(dim=1).int(), token.int(), values[component, token]
            )

        yield from in_chunks(chunk, self.form.components, size, timings)


KIND = EncoderKind(
    ImportanceForm, "gpu", lambda job, form: GpuImportance(job.source, form, job.kept, job.device)
)
