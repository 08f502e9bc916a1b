"""Non-zeros as tensors on the device that found them, and the encoders that leave them there."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from consumers.device_transfer import fetch
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from streams.errors import NotFiniteError


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


@runtime_checkable
class DeviceEncoder(Protocol):
    """An encoder whose non-zeros can stay on the device, for a selection there."""

    def chunks(
        self, hooked: Tensor, timings: Timings, valid: Tensor | None = None
    ) -> Iterator[DeviceNonZeros]:
        """Yield the non-zeros of all components, in order; the arguments are those of ``collect``.

        Values may be NaN or infinite: they are checked where they are read.
        """


def joined(parts: Iterator[DeviceNonZeros], source: str, timings: Timings) -> NonZeros:
    """Return the non-zeros of all components of a source, in one transfer to the host.

    The time that it takes to find them counts as that of encoding. Raises NotFiniteError if one is
    NaN or infinite.
    """
    start = time.perf_counter()
    found = [(part.count, part.token, part.value) for part in parts]
    count, token, value = (torch.cat(part) for part in zip(*found, strict=True))
    out = fetch(torch.cat([count, token, value.view(torch.int32)]))
    timings.host_bytes += out.nbytes
    counts, tokens, bits = np.split(out, np.cumsum([len(count), len(token)]))
    result = NonZeros(counts.astype(np.int64), tokens, bits.view(np.float32))
    if not np.isfinite(result.value).all():
        raise NotFiniteError(f"source {source}")
    timings.encode += time.perf_counter() - start
    return result
