"""What makes a value of a product: scale, bias, and where a component fires."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from consumers.encoders.float_order import NEVER, order


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """How a product becomes a value: ``product * scale + shift`` where the component fires.

    It fires where product + gate > 0 and the value > cut; all are float32 [component], scale > 0,
    cut >= 0. Both sides grow with the product, so a component fires from some product on.
    """

    scale: Tensor
    shift: Tensor
    gate: Tensor
    cut: Tensor

    def unruled(self, product: Tensor) -> Tensor:
        """Return the values of products [component, token], float32, as if all of them fired."""
        return product * self.scale[:, None] + self.shift[:, None]

    def values(self, product: Tensor) -> Tensor:
        """Return value, and 0 where nothing fires, of products [component, token], float32."""
        value = self.unruled(product)
        fires = (product + self.gate[:, None] > 0) & (value > self.cut[:, None])
        return torch.where(fires, value, 0.0)

    def least(self) -> Tensor:
        """Return the ``order`` of each component's least product that fires, int32 [component].

        NEVER where none does. Found by bisection of all floats, so it is exact.
        """
        low = torch.full_like(self.scale, -(2**31), dtype=torch.int64)
        high = torch.full_like(low, int(order(torch.tensor(torch.finfo(torch.float32).max))))
        never = ~self._fires_at(high)
        for _ in range(32):  # low never fires or is below all floats, high fires
            middle = (low + high) >> 1
            fires = self._fires_at(middle)
            low, high = torch.where(fires, low, middle), torch.where(fires, middle, high)
        return high.masked_fill(never, NEVER).int()

    def _fires_at(self, ordered: Tensor) -> Tensor:
        whole = ordered.int()
        product = order(whole.view(torch.float32)).view(torch.float32)
        below = ordered < int(order(torch.tensor(-math.inf)))  # the NaNs with a sign
        return (self.values(product[:, None])[:, 0] > 0) & ~below

    def part(self, first: int, stop: int) -> "Rule":
        """Return the rule of the components first to stop - 1."""
        return Rule(*(part[first:stop] for part in (self.scale, self.shift, self.gate, self.cut)))
