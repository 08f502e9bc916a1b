"""Device waits: how often torch operations would have a processor wait for a GPU, seen on a CPU."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {
    "_local_scalar_dense", "nonzero", "_unique2", "unique_consecutive", "unique_dim", "bincount",
    "masked_select", "equal", "item", "is_nonzero",
}  # fmt: skip
"""Those whose result's size, or whose result, the processor has to know."""


class DeviceWaits(TorchDispatchMode):
    """Counts them by name while it is entered, masks as indices among them."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Counter[str]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__.removesuffix("_numpy")
        if name in _WAITS or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self.found[name] += 1
        elif name in ("index", "index_put", "index_put_"):
            for each in args[1]:
                if each is not None and each.dtype == torch.bool:
                    self.found["mask as index"] += 1
        return func(*args, **kwargs)

    def total(self) -> int:
        """Return how many there were."""
        return sum(self.found.values())
