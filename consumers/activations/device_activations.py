"""A batch's activations as tensors, for a selection on the device that computed them."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.activations.engine import Activations
from consumers.device_transfer import send
from consumers.encoders.gpu.device_nonzeros import DeviceNonZeros
from consumers.statistics.measured import Measured
from streams.arrays import Bool
from streams.errors import NotFiniteError


@dataclass(frozen=True, slots=True, eq=False)
class DeviceActivations:
    """The non-zero values of one batch at its valid tokens, finite, sorted by component and token.

    first: int64 [component + 1], where each component of the plan begins; dropped ones have none.
    token: int64, row * positions + position. value: float32, signed.
    """

    positions: int
    first: Tensor
    token: Tensor
    value: Tensor
    measured: Measured = field(default_factory=dict, kw_only=True)

    def to_host(self) -> Activations:
        """Return the same as arrays: all non-zeros leave the device."""
        components = torch.arange(len(self.first) - 1, device=self.first.device)
        component = components.repeat_interleave(self.first.diff()).cpu().numpy()
        token = self.token.cpu().numpy()
        row, position = np.divmod(token, self.positions)
        value = self.value.cpu().numpy()
        row, position = row.astype(np.int32), position.astype(np.int32)
        return Activations(component, row, position, value, measured=self.measured)


def joined(
    parts: list[tuple[str, DeviceNonZeros]], components: int, valid: Bool, device: torch.device
) -> DeviceActivations:
    """Return the non-zeros of all sources as those of a batch.

    parts: the source of each and its non-zeros, by component. They are taken out of the list one
    after the other, so that at most 20 bytes a value are held and 12 remain. valid: [row,
    position]. Raises NotFiniteError before anyone counts them.
    """
    finite = (
        torch.stack([part.value.isfinite().all() for _, part in parts]).tolist() if parts else []
    )
    for good, (name, _) in zip(finite, parts, strict=True):
        if not good:
            raise NotFiniteError(f"source {name}")
    token_of = send(np.flatnonzero(valid), device)
    total = sum(len(part.value) for _, part in parts)
    token = torch.empty(total, dtype=torch.int64, device=device)
    value = torch.empty(total, device=device)
    count = torch.zeros(components, dtype=torch.int64, device=device)
    parts.reverse()
    at = first = 0
    while parts:
        _, part = parts.pop()
        to = slice(at, at + len(part.value))
        torch.index_select(token_of, 0, part.token, out=token[to])
        value[to] = part.value
        count[first : first + len(part.count)] = part.count
        at, first = to.stop, first + len(part.count)
    bounds = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return DeviceActivations(valid.shape[1], bounds, token, value)


def from_host(activations: Activations, components: int, positions: int) -> DeviceActivations:
    """Return activations of a plan with so many components as tensors on the processor."""
    count = np.bincount(activations.component, minlength=components)
    token = activations.row.astype(np.int64) * positions + activations.position
    first = torch.from_numpy(np.r_[0, np.cumsum(count)])
    return DeviceActivations(
        positions,
        first,
        torch.from_numpy(token),
        torch.from_numpy(activations.value),
        measured=activations.measured,
    )
