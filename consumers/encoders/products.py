"""Products of an encoder's weights with the hook values of a batch, some components at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

Products = Callable[[int, int, Tensor], Tensor]
"""(first, stop, room) -> products [component, token] of the components first to stop - 1.

room: [component, >= token], contiguous, which the products may be written to. The rows of what
comes back are contiguous; there may be entries of no meaning behind the last token.
"""

Multiply = Callable[[Tensor, Tensor], Products]
"""(weight [component, width], prepared values [token, width]) -> their products."""


def plain_products(weight: Tensor, prepared: Tensor) -> Products:
    """Return the products of weight [component, width] and prepared values [token, width].

    They are added up as ``prepared @ weight.T`` adds them up.
    """
    tokens = len(prepared)

    def multiply(first: int, stop: int, room: Tensor) -> Tensor:
        torch.mm(weight[first:stop], prepared.T, out=room[:, :tokens])
        return room

    return multiply


def packed_products(weight: Tensor, prepared: Tensor) -> Products:
    """Return the same products by oneDNN, for float32 and bfloat16 on processors.

    The prepared values are laid out for it once and not with each chunk, which made products of 256
    components, 768 wide, 1.5 times as fast in float32 and 1.08 times in bfloat16 (8,192 tokens, 2
    cores). Sums may come out in another order than ``prepared @ weight.T`` has.
    """
    if not len(prepared):
        return plain_products(weight, prepared)
    packed = torch.ops.mkldnn._reorder_linear_weight(prepared.contiguous())

    def multiply(first: int, stop: int, room: Tensor) -> Tensor:
        del room
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            weight[first:stop], packed, None, "none", [], ""
        )
        return out

    return multiply


def transposed(values: Tensor) -> Products:
    """Return hook values [token, width] themselves as products of as many components."""
    tokens = len(values)

    def multiply(first: int, stop: int, room: Tensor) -> Tensor:
        room[:, :tokens].copy_(values[:, first:stop].T)
        return room

    return multiply
