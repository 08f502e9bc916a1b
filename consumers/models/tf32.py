"""TF32: float32 products whose factors NVIDIA's tensor cores round to 10 bits of mantissa."""

import torch

from consumers.models.devices import Machine
from streams.errors import ModelError


def expect_tf32_possible(dtype: str) -> None:
    """Raise ModelError for a dtype to which TF32 means nothing. dtype: as chosen, never "auto"."""
    if dtype != "float32":
        raise ModelError(
            f"model.tf32 is about products of float32, and the run computes in {dtype}: set "
            "model.dtype = 'float32', or leave tf32 out"
        )


def without_effect(device: torch.device, machine: Machine) -> str:
    """Return why a device multiplies float32 exactly although a run asks for TF32; "" if it has it.

    Such a worker's numbers are not those of one with TF32.
    """
    if device.type == "cuda":
        card = machine.cuda[device.index or 0]
        return "" if card.tf32 else f"{card.name} has no TF32"
    return f"{device.type} has no TF32"


def set_tf32(allowed: bool) -> None:
    """Set whether products and convolutions of float32 are TF32 from now on, in the whole process.

    Said each time, since torch allows it for convolutions unless it is told not to.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
