"""Non-zeros of some components of a source, as tensors on the device that found them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class DeviceNonZeros:
    """Values that are not 0 of the components first to stop - 1, by component and then by token.

    count: int32 [component]. token: int32, numbered through the valid tokens of a batch; value:
    float32, signed; both [non-zero].
    """

    first: int
    stop: int
    count: Tensor
    token: Tensor
    value: Tensor
