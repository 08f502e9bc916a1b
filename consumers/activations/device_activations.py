"""A batch's activations as tensors, for a selection on the device that computed them."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.activations.engine import Activations
from consumers.statistics.measured import Measured


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
