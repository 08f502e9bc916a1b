"""Float32 as integers of the same order: comparing and bisecting floats by their bits."""

import torch
from torch import Tensor

SIGN_OFF = 0x7FFFFFFF
# Above the order of every number: such a component fires nowhere.
NEVER = 0x7FFFFFFF


def order(values: Tensor) -> Tensor:
    """Return int32 that are ordered like the float32 ``values``; a positive one keeps its bits."""
    bits = values.view(torch.int32)
    return torch.where(bits >= 0, bits, bits ^ SIGN_OFF)
