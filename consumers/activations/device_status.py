"""What an engine's device has done and holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.activations.torch_engine import TorchEngine


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """forward, encode, select: seconds spent so far. memory: bytes, by what they are."""

    device: str
    forward: float
    encode: float
    select: float
    memory: Mapping[str, int]


def device_status(engine: "TorchEngine") -> DeviceStatus:
    """Return how the device of an engine stands; may be asked from any thread."""
    timings, device = engine.timings, engine.model.device
    return DeviceStatus(
        str(device), timings.forward, timings.encode, timings.select, _memory(device)
    )


def _memory(device: object) -> dict[str, int]:
    import psutil
    import torch

    if isinstance(device, torch.device) and device.type == "cuda":
        return {
            "allocated": torch.cuda.memory_allocated(device),
            "reserved": torch.cuda.memory_reserved(device),
            "total": torch.cuda.get_device_properties(device).total_memory,
        }
    return {
        "allocated": psutil.Process().memory_info().rss,
        "total": psutil.virtual_memory().total,
    }
