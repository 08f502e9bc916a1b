"""Batch sizes where the settings name none: what a record costs counts per batch on a GPU.

Nothing here imports torch, since producers ask, too.
"""

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/gpus")
_ROWS, _GPU_ROWS, _GPU_TOKENS = 64, 2048, 2**18
_MICRO_BATCH, _GPU_MICRO_TOKENS = 8, 2**15


def usual_batch_rows(context: int, *, gpu: bool) -> int:
    """Return the rows of a token batch: 64, for a GPU 2,048 of up to 128 tokens, fewer if longer.

    What a GPU holds of a batch, the values at each hook, grows with its tokens.
    """
    return max(1, min(_GPU_ROWS, _GPU_TOKENS // context)) if gpu else _ROWS


def usual_micro_batch(context: int, *, gpu: bool) -> int:
    """Return the rows of a forward pass: 8, for a GPU as many as hold 32,768 tokens."""
    return max(1, min(_GPU_ROWS, _GPU_MICRO_TOKENS // context)) if gpu else _MICRO_BATCH


def expects_gpu(
    device: str, environment: Mapping[str, str] = os.environ, driver: Path = DRIVER
) -> bool:
    """Return whether a run is to be computed by CUDA, as far as can be told without torch.

    device: as in the settings; "auto" is CUDA where the driver lists a GPU that is not hidden, and
    torch is not a build for processors alone.
    """
    if device != "auto":
        return device.startswith("cuda")
    hidden = environment.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles")
    return not hidden and gpus_in_driver(driver) > 0 and not _is_cpu_build()


def gpus_in_driver(driver: Path = DRIVER) -> int:
    """Return how many GPUs the NVIDIA driver lists, also those hidden from this process."""
    return sum(1 for _ in driver.iterdir()) if driver.is_dir() else 0


def _is_cpu_build() -> bool:
    try:
        return "+cpu" in version("torch")
    except PackageNotFoundError:
        return True
