"""Linear layers with packed weights: which are, what is fused with them, and where neither is."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from consumers.models.packing import Packed, can_pack, pack


class Mlp(nn.Module):
    """A layer, a function, and a layer whose result goes two ways."""

    def __init__(self, function: nn.Module, conv: bool = False) -> None:
        super().__init__()
        self.up: nn.Module = Conv1D(24, 16) if conv else nn.Linear(16, 24)
        self.act = function
        self.side = nn.Linear(16, 24)
        self.other = nn.ReLU()
        self.down = nn.Linear(24, 8, bias=False)

    def forward(self, given: Tensor) -> Tensor:
        side = self.side(given)
        out: Tensor = self.down(self.act(self.up(given)) * self.other(side) + side)
        return out


class Branching(Mlp):
    """What it does depends on the numbers, so that nobody can follow it."""

    def forward(self, given: Tensor) -> Tensor:
        return super().forward(given if given.sum() > 0 else -given)


class Twice(nn.Module):
    """One layer called twice, its first result used as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(16, 16), nn.ReLU()

    def forward(self, given: Tensor) -> Tensor:
        out: Tensor = self.act(self.layer(self.layer(given)))
        return out


def given(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def packed_of(net: nn.Module) -> dict[str, Packed]:
    return {n: m.forward for n, m in net.named_modules() if isinstance(m.forward, Packed)}


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("shape", [(1, 16), (3, 5, 16), (2, 128, 16)])
@pytest.mark.parametrize(
    ("name", "fused"),
    [
        ("gelu_pytorch_tanh", ("gelu", "tanh")),
        ("gelu", ("gelu", "none")),
        ("silu", ("swish", "")),
        ("relu", ("relu", "")),
        ("gelu_new", ("none", "")),
        ("quick_gelu", ("none", "")),
    ],
)
def test_a_packed_net_computes_the_same(
    name: str, fused: tuple[str, str], shape: tuple[int, ...], conv: bool
) -> None:
    net = Mlp(ACT2FN[name], conv)
    with torch.inference_mode():
        expected = net(given(*shape))
        pack(net, set())
        torch.testing.assert_close(net(given(*shape)), expected, rtol=1e-5, atol=1e-6)
    found = packed_of(net)
    assert set(found) == {"up", "side", "down"}
    assert found["up"].function == fused
    assert found["side"].function == found["down"].function == ("none", "")


def test_what_goes_two_ways_or_cannot_be_followed_is_not_fused() -> None:
    for net in (Twice(), Branching(nn.ReLU())):
        with torch.inference_mode():
            expected = net(given(4, 16))
            pack(net, set())
            torch.testing.assert_close(net(given(4, 16)), expected, rtol=1e-5, atol=1e-6)
        assert {one.function for one in packed_of(net).values()} == {("none", "")}


@pytest.mark.parametrize("read", ["up", "act"])
def test_what_somebody_reads_stays_what_it_is(read: str) -> None:
    net = Mlp(nn.ReLU())
    seen: list[Tensor] = []
    pack(net, {net.get_submodule(read)})
    net.up.register_forward_hook(lambda _module, _args, out: seen.append(out))
    net.act.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.inference_mode():
        net(given(4, 16))
        expected = F.linear(given(4, 16), net.up.weight, net.up.bias)  # type: ignore[arg-type]
    assert (expected < 0).any()
    for value in seen:
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    assert len(seen) == 2


def test_a_layer_that_is_not_called_is_not_copied() -> None:
    net = Mlp(nn.ReLU())
    pack(net, set())
    with torch.inference_mode():
        net.up(given(4, 16))
    found = packed_of(net)
    assert [name for name, one in found.items() if one._packed is not None] == ["up"]


def test_it_is_not_done_without_room_or_for_other_types(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Mlp(nn.ReLU())
    assert can_pack(net)
    assert not can_pack(nn.ReLU())
    assert not can_pack(Mlp(nn.ReLU()).half())
    assert not can_pack(Mlp(nn.ReLU()).to("meta"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: _Memory(available=1000))
    assert not can_pack(net)


class _Memory:
    def __init__(self, available: int) -> None:
        self.available = available


def test_other_linear_layers_are_left_alone() -> None:
    class Other(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    net: Any = nn.Sequential(Other(16, 16), nn.ReLU())
    with torch.inference_mode():
        expected = net(given(4, 16))
        pack(net, set())
        assert torch.equal(net(given(4, 16)), expected)
    assert not packed_of(net)
