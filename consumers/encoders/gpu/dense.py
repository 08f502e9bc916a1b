"""Dense forms on a GPU: what is not 0 is found there, and nothing else leaves it."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import fetch
from consumers.encoders.dense import DenseEncoder
from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import DenseForm
from consumers.encoders.gpu.device_nonzeros import DeviceNonZeros
from consumers.encoders.timings import Timings
from streams.arrays import F32, I32, Bool


class GpuDense(DenseEncoder):
    """A ``DenseEncoder`` whose non-zeros may stay on the device."""

    def __init__(self, name: str, form: DenseForm, kept: Bool, size: int) -> None:
        super().__init__(name, form, kept, size, _found)

    def chunks(
        self, hooked: Tensor, timings: Timings, valid: Tensor | None = None
    ) -> Iterator[DeviceNonZeros]:
        """Yield all components at once."""
        tokens, kept = 0, torch.from_numpy(self.kept).to(hooked.device)
        parts = list[tuple[Tensor, Tensor, Tensor]]()
        for values in self.parts(hooked, timings, valid):
            token, component = (values.ne(0) & kept).nonzero(as_tuple=True)
            parts.append((component, token + tokens, values[token, component].float()))
            tokens += len(values)
        component, token, value = (torch.cat(part) for part in zip(*parts, strict=True))
        yield by_component(component, token, value, len(kept))


def by_component(
    component: Tensor, token: Tensor, value: Tensor, components: int
) -> DeviceNonZeros:
    """Return non-zeros that are sorted by token as those of all components of a source."""
    order = component.argsort(stable=True)
    count = torch.bincount(component, minlength=components)
    return DeviceNonZeros(0, components, count.int(), token[order].int(), value[order])


def _found(values: Tensor, timings: Timings) -> tuple[I32, I32, F32]:
    token, component = values.nonzero(as_tuple=True)
    bits = values[token, component].float().view(torch.int32)
    out = fetch(torch.stack([token.int(), component.int(), bits]))
    timings.host_bytes += out.nbytes
    return out[0], out[1], out[2].view(np.float32)


KIND = EncoderKind(
    DenseForm, "gpu", lambda job, form: GpuDense(job.source, form, job.kept, job.at_once)
)
