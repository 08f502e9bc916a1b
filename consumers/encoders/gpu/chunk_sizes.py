"""How many products a device holds at once: by its memory, not by what is free at the moment.

The size decides how a product is computed and so its last bits, and has to be the same for all
workers on cards of a kind.
"""

import torch

_BYTES_PER_PRODUCT = 256
_MOST = 2**28


def at_once(device: torch.device, least: int) -> int:
    """Return how many products to hold. least: that on anything but CUDA, and at the least."""
    if device.type != "cuda":
        return least
    return max(least, by_memory(torch.cuda.get_device_properties(device).total_memory))


def by_memory(total: int) -> int:
    """Return how many products a card of so many bytes holds at once, a power of two.

    That many in float32, what compares and compacts them, take about a thirtieth of the memory:
    2**28 on 80 GB. Chunks beyond these gain nothing.
    """
    return int(min(_MOST, 1 << max(total // _BYTES_PER_PRODUCT, 1).bit_length() - 1))
