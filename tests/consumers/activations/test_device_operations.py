"""What a device lacks of a selection's operations is found by trying them."""

import torch
from torch import Tensor

from consumers.activations.device_operations import OPERATIONS, lacking_operations, lacks

CPU, META = torch.device("cpu"), torch.device("meta")


def test_the_processor_has_all_of_them_and_gives_the_same_each_time() -> None:
    assert lacking_operations(CPU) == ()
    assert lacks(CPU) == lacks(torch.device("cuda:1")) == ()


def test_a_device_that_holds_no_numbers_lacks_all() -> None:
    assert lacking_operations(META) == lacks(META) == tuple(OPERATIONS)


def test_what_raises_and_what_gives_something_else_is_lacking() -> None:
    calls = []

    def once(_: torch.device) -> Tensor:
        calls.append(1)
        return torch.tensor(len(calls))  # another number on the device than on the processor

    def raises(device: torch.device) -> Tensor:
        if len(raised) < 1:
            raised.append(1)
            return torch.tensor(0)
        raise TypeError(f"no int64 on {device}")

    raised = list[int]()
    operations = {"wrong": once, "right": OPERATIONS["nonzero"], "missing": raises}
    assert lacking_operations(CPU, operations) == ("wrong", "missing")
