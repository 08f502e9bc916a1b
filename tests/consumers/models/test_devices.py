"""Which device a worker takes and what it says of it, on machines that are described, not had."""

import logging

import pytest
import torch

from consumers.models.devices import (
    Card,
    Machine,
    other_gpus,
    pick_device,
    say_device,
    this_machine,
)
from consumers.models.tf32 import without_effect
from streams.errors import ModelError

OLD, NEW = Card("V100", 32 * 2**30, tf32=False), Card("H100", 80 * 2**30)
TWO = Machine(cuda=(OLD, NEW), in_driver=2)
ONE_OF_TWO = Machine(cuda=(NEW,), in_driver=2, visible="1")
HIDDEN = Machine(in_driver=2, visible="")
APPLE = Machine(mps=True)
BARE = Machine()


@pytest.mark.parametrize(
    ("machine", "wanted", "found"),
    [
        (TWO, "auto", "cuda:0"),
        (TWO, "cuda", "cuda:0"),
        (TWO, "cuda:1", "cuda:1"),
        (TWO, "cpu", "cpu"),
        (ONE_OF_TWO, "cuda:0", "cuda:0"),
        (HIDDEN, "auto", "cpu"),
        (APPLE, "auto", "mps"),
        (APPLE, "mps", "mps"),
        (BARE, "auto", "cpu"),
    ],
)
def test_a_device_is_taken_by_kind_and_index(machine: Machine, wanted: str, found: str) -> None:
    assert pick_device(wanted, machine) == torch.device(found)


@pytest.mark.parametrize(
    ("machine", "wanted", "line"),
    [
        (TWO, "cuda:2", "no device cuda:2: it has cuda:0 to cuda:1$"),
        (ONE_OF_TWO, "cuda:1", "it has cuda:0 to cuda:0 of CUDA_VISIBLE_DEVICES=1"),
        (HIDDEN, "cuda", "no device cuda: CUDA_VISIBLE_DEVICES is ''"),
        (BARE, "cuda:99", "no device cuda:99$"),
        (BARE, "mps", "no device mps$"),
        (TWO, "mps", "no device mps"),
        (TWO, "cpu:1", "no device cpu:1"),
        (TWO, "gpu", "unknown device 'gpu'"),
        (TWO, "cuda:", None),
        (TWO, "cuda:one", "unknown device 'cuda:one'"),
        (TWO, "cuda:\N{SUPERSCRIPT TWO}", "unknown device"),
        (TWO, "cuda:" + "9" * 5000, "unknown device"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    machine: Machine, wanted: str, line: str | None
) -> None:
    if line is None:
        assert pick_device(wanted, machine) == torch.device("cuda:0")
        return
    with pytest.raises(ModelError, match=line):
        pick_device(wanted, machine)


@pytest.mark.parametrize(
    ("machine", "device", "said"),
    [
        (TWO, "cuda:1", "cuda:1, H100, 80.0 GiB; cuda:0 left to other workers"),
        (ONE_OF_TWO, "cuda:0", "cuda:0, H100, 80.0 GiB; no other GPU is seen"),
        (TWO, "cpu", "cpu, the processor; unused beside it: cuda:0, V100, cuda:1, H100; device"),
        (HIDDEN, "cpu", "2 GPUs that torch does not see: CUDA_VISIBLE_DEVICES is ''"),
        (Machine(in_driver=1), "cpu", "1 GPUs that torch does not see: this torch may be built"),
        (APPLE, "cpu", "unused beside it: the Apple GPU; device = 'mps' takes it"),
        (APPLE, "mps", "mps, the Apple GPU; no other GPU is seen"),
        (BARE, "cpu", "cpu, the processor; no other GPU is seen"),
    ],
)
def test_a_worker_says_what_it_has_and_what_is_idle(
    machine: Machine, device: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    say_device(torch.device(device), machine)
    (record,) = caplog.records
    assert said in record.getMessage()
    assert record.__dict__["fields"]["device"] == device


def test_this_machine_is_what_torch_and_the_environment_say() -> None:
    found = this_machine({"CUDA_VISIBLE_DEVICES": "0"})
    assert len(found.cuda) == torch.cuda.device_count()
    assert found.visible == "0"
    assert this_machine({}).visible is None
    assert pick_device("auto").type == pick_device("auto", found).type
    assert other_gpus(torch.device("cpu"), found)


def test_devices_without_tf32_are_named() -> None:
    assert without_effect(torch.device("cuda:0"), TWO) == "V100 has no TF32"
    assert not without_effect(torch.device("cuda:1"), TWO)
    assert without_effect(torch.device("cpu"), TWO) == "cpu has no TF32"
    assert without_effect(torch.device("mps"), APPLE) == "mps has no TF32"
