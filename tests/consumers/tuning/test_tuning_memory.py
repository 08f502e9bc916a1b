"""What tuning knows of memory: the process, the machine, the container, the device."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from consumers.tuning.tuning_memory import CudaMemory, HostMemory, group_free, memory_of

BLOCK = 64 * 2**20


def test_memory_that_was_held_for_a_moment_is_seen() -> None:
    memory = HostMemory()
    before = memory.used()

    def work() -> None:
        for _ in range(3):
            np.ones(BLOCK, np.uint8).sum()

    peak = memory.peak(work)
    assert 0.8 * BLOCK < peak - before < 3 * BLOCK
    assert memory.used() < before + BLOCK // 2


def test_an_error_in_the_work_comes_through() -> None:
    def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        HostMemory().peak(work)


def group(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return folder


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    second = {
        "memory.max": "1000\n",
        "memory.current": "700\n",
        "memory.stat": "anon 500\ninactive_file 150\nactive_file 50\n",
    }
    assert group_free(group(tmp_path, second)) == 450
    assert HostMemory(group=tmp_path).free() == 450
    assert group_free(group(tmp_path, {"memory.current": "2000\n"})) == 0
    assert group_free(group(tmp_path, {"memory.max": "max\n"})) is None


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    assert group_free(tmp_path) is None
    free = HostMemory(group=tmp_path).free()
    assert 0 < free <= psutil.virtual_memory().total


def test_the_device_decides_whose_memory_it_is() -> None:
    assert isinstance(memory_of(torch.device("cpu")), HostMemory)
    assert isinstance(memory_of(torch.device("mps")), HostMemory)
    assert isinstance(memory_of(torch.device("cuda")), CudaMemory)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_cuda_device_are_counted() -> None:
    memory = CudaMemory(torch.device("cuda"))
    before = memory.used()

    def work() -> None:
        torch.ones(BLOCK, dtype=torch.uint8, device="cuda").sum().item()

    peak = memory.peak(work)
    assert BLOCK <= peak - before < 2 * BLOCK
    assert memory.used() < before + BLOCK
    assert memory.free() > 0
