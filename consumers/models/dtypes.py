"""Which dtype a model is computed in where the settings leave it open."""

import torch

NARROW = "bfloat16"
WIDE = "float32"
# What torch calls the instructions that multiply bfloat16: x86 (two kinds), Arm.
_NATIVE = ("avx512_bf16", "amx_bf16", "bf16")


def pick_dtype(wanted: str, device: torch.device) -> str:
    """Return the dtype itself, or for "auto" bfloat16 where the processor multiplies it natively.

    Elsewhere "auto" is float32: bfloat16 would cost accuracy and save no time.
    """
    if wanted != "auto":
        return wanted
    return NARROW if _native(device) else WIDE


def measured_dtypes(device: torch.device) -> tuple[str, ...]:
    """Return the dtypes that are worth measuring on a device, the exact one first."""
    return (WIDE, NARROW, "float16") if device.type == "cuda" else (WIDE, NARROW)


def _native(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in _NATIVE)
    return False
