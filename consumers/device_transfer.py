"""Between a device and the host: through pinned memory where there is CUDA."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from streams.arrays import AnyArray


def fetch(values: Tensor) -> AnyArray:
    """Return a device's values as an array of the same type.

    CUDA writes by itself into pinned memory, which torch keeps and hands out again once nobody
    holds the array. Only what the device was given before is waited for, so that it goes on with
    what other threads have given it since.
    """
    if values.device.type != "cuda":
        return values.cpu().numpy()
    with torch.cuda.device(values.device):  # or the memory belongs to another one
        pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        pinned.copy_(values, non_blocking=True)
        copied: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        copied.record()
        copied.synchronize()
    return pinned.numpy()


def send(values: AnyArray, device: torch.device) -> Tensor:
    """Return an array's values on a device.

    Nothing is waited for where there is CUDA: torch keeps the pinned copy until it has been read.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return tensor.to(device)
    with torch.cuda.device(device):  # or the memory belongs to another one
        return tensor.pin_memory().to(device, non_blocking=True)
