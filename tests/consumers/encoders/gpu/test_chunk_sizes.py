"""How many products a device holds at once follows from its memory alone."""

import pytest
import torch

from consumers.encoders.gpu.chunk_sizes import at_once, by_memory


@pytest.mark.parametrize(
    ("gigabytes", "power"),
    [(0, 0), (4, 23), (8, 24), (16, 25), (24, 26), (40, 27), (80, 28), (400, 28)]
)  # fmt: skip
def test_a_larger_card_holds_more_in_powers_of_two(gigabytes: int, power: int) -> None:
    assert by_memory(gigabytes * 10**9) == 2**power


def test_what_is_not_cuda_holds_the_least() -> None:
    assert at_once(torch.device("cpu"), 7) == 7
    assert at_once(torch.device("mps"), 7) == 7
