"""From a device to the host: one transfer, through pinned memory where there is CUDA."""

import torch
from torch import Tensor

from consumers.encoders.timings import Timings
from streams.arrays import I32


def to_host(values: Tensor, timings: Timings) -> I32:
    """Return int32 values of a device as an array, from CUDA through memory it writes by itself."""
    timings.host_bytes += values.nbytes
    if values.device.type != "cuda":
        return values.cpu().numpy()
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).synchronize()
    return pinned.numpy()
