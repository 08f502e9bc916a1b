"""Memory as tuning sees it: of the process on this machine, or of a CUDA device."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from consumers.tuning.tuning import Memory

INTERVAL = 0.001


def memory_of(device: torch.device) -> Memory:
    """Return the memory that a device computes in."""
    return CudaMemory(device) if device.type == "cuda" else HostMemory()


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Resident memory of this process; free is what machine and container both still give."""

    group: Path = Path("/sys/fs/cgroup")

    def used(self) -> int:
        """Return the resident bytes."""
        return int(psutil.Process().memory_info().rss)

    def free(self) -> int:
        """Return the bytes that can be taken before something must be killed or swapped."""
        available = int(psutil.virtual_memory().available)
        left = group_free(self.group)
        return available if left is None else min(available, left)

    def peak(self, work: Callable[[], object]) -> int:
        """Return the largest resident size met while ``work`` runs, read every millisecond."""
        ended, most = threading.Event(), [self.used()]

        def look() -> None:
            while not ended.wait(INTERVAL):
                most[0] = max(most[0], self.used())

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            work()
        finally:
            ended.set()
            watcher.join()
        return max(most[0], self.used())


@dataclass(frozen=True, slots=True)
class CudaMemory:
    """Tensors of this process on a CUDA device, from torch's own books."""

    device: torch.device

    def used(self) -> int:
        """Return the bytes of live tensors."""
        return torch.cuda.memory_allocated(self.device)

    def free(self) -> int:
        """Return what the device has left, and what torch keeps of it without using it."""
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(free) + torch.cuda.memory_reserved(self.device) - self.used()

    def peak(self, work: Callable[[], object]) -> int:
        """Return the most bytes that live tensors took while ``work`` ran."""
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device)


def group_free(group: Path) -> int | None:
    """Return what the container's limit leaves, in bytes; None without one that can be read.

    Read from control groups of version 2. File pages that the kernel would give back are free.
    """
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        lines = (group / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    pages = dict(line.split(" ", 1) for line in lines if " " in line)
    return max(limit - used + int(pages.get("inactive_file", 0)), 0)
