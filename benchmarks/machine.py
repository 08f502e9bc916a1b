"""The machine, the versions and the command behind a figure."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch",
    "transformers",
    "transformer-lens",
    "sae-lens",
    "numpy",
    "numba",
    "pyarrow",
    "faust-streaming",
    "aiokafka",
)


WAITING = "OMP_WAIT_POLICY"
"""What says how torch's threads wait; whatever started us may have set it."""


def machine() -> dict[str, Any]:
    """Return processor, cores this process may use, memory in GB, system and Python."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide speed; those that are missing left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def command() -> str:
    """Return how this process was started, without the folder of its interpreter."""
    policy = os.environ.get(WAITING)
    rest, spec = sys.argv[1:], sys.modules["__main__"].__spec__
    name = [Path(sys.argv[0]).name]
    if spec is not None:  # started with -m
        name = ["python", "-m", spec.name.removesuffix(".__main__")]
    return " ".join([*([f"{WAITING}={policy}"] if policy else []), *name, *rest])


def peak_memory() -> int:
    """Return the most memory that this process has had resident so far, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cores() -> int:
    """Return how many cores this process may use: so many threads compute, on both sides."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        known = {name.strip(): value.strip() for name, value in lines}
        name = known.get("model name", platform.machine())
        flags = known.get("flags", "").split()
        extras = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        return f"{name} ({', '.join(extras)})" if extras else name
    return platform.processor() or platform.machine()
