"""Selection on the device: the non-zero components of valid tokens, and checks on the way."""

import numpy as np
import torch
from torch import Tensor

from consumers.sources import LoadedSource
from streams.arrays import F32, I32, AnyArray
from streams.errors import NotFiniteError


def check_finite(values: Tensor, where: str) -> None:
    """Raise NotFiniteError if ``values`` hold NaN or infinity; one pass when they do not."""
    if not torch.isfinite(values.sum()).item() and not torch.isfinite(values).all().item():
        raise NotFiniteError(where)


def stable_order(keys: AnyArray) -> AnyArray:
    """Return the stable argsort of int32 ``keys`` >= 0, by radix sort of 16 bits at a time."""
    order = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
    if len(keys) and int(keys.max()) > 0xFFFF:
        order = order[np.argsort((keys[order] >> 16).astype(np.uint16), kind="stable")]
    return order


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the device has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "alloc_failed"))


def non_zeros(
    values: Tensor, kept: Tensor | None, source: LoadedSource
) -> tuple[AnyArray, I32, F32]:
    """Return token, component and value of the non-zeros of ``values`` [token, component].

    Only these cross to the CPU, sorted by token; ``kept`` [component] leaves out dropped ones.
    """
    flat = values.reshape(-1)
    at = flat.nonzero().squeeze(1)
    component = at % source.components
    if kept is not None:
        live = kept[component]
        at, component = at[live], component[live]
    token = torch.div(at, source.components, rounding_mode="floor")
    value: F32 = flat[at].float().cpu().numpy()
    if not np.isfinite(value).all():
        raise NotFiniteError(f"source {source.name}")
    return token.int().cpu().numpy(), component.int().cpu().numpy(), value
