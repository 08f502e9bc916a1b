"""Directions of a safetensors file, rectified: components of one's own."""

import torch
from safetensors.torch import load_file
from torch import Tensor


class Rectified:
    """relu(x @ W), W a tensor [width of the hook, components]."""

    version = "1"

    def __init__(self, width: int, device: torch.device, path: str, tensor: str = "W") -> None:
        self.weight = load_file(path)[tensor].to(device, torch.float32)
        if len(self.weight) != width:
            raise ValueError(f"{tensor} takes {len(self.weight)} values, the hook has {width}")
        self.components = self.weight.shape[1]

    def encode(self, values: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width]."""
        return (values.float() @ self.weight).relu()
