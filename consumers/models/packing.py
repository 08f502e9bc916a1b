"""Weights laid out as oneDNN, the processor's matrix library in torch, multiplies them.

torch hands a weight over as it lies in memory, and the library rearranges it in each product. Here
that is done once, at a layer's first call, so that layers after the last hook cost nothing; and an
activation function that follows a layer is computed on its results while they are in the cache.
The operators are those to which ``torch.compile`` freezes linear layers on processors; compiling
itself would take longer than many a run.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor, fx, nn

_SHARE = 0.5  # of the memory that is free: more is not taken for a second copy of the weights
_NONE = ("none", "")


@dataclass(slots=True, eq=False)
class Packed:
    """What a linear layer computes. weight: [out, in]. function: that follows, and its variant."""

    weight: Tensor
    bias: Tensor | None
    function: tuple[str, str] = _NONE
    _packed: Tensor | None = None

    def __call__(self, given: Tensor) -> Tensor:
        """Return [..., out] for [..., in], in the dtype of the weight."""
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            given, self._packed, self.bias, self.function[0], [], self.function[1]
        )
        return out


def can_pack(net: nn.Module) -> bool:
    """Return whether this torch packs weights of the net's dtype and device, and memory has room.

    Room for all linear layers is asked for; fewer are packed where the pass ends early.
    """
    weights = [_weight(layer) for layer in net.modules() if _is_linear(layer)]
    if not weights or any(weight.device.type != "cpu" for weight in weights):
        return False
    size = sum(weight.nbytes for weight in weights)
    return (
        hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and all(multiplies(weight.dtype) for weight in weights)
        and size < _SHARE * psutil.virtual_memory().available
    )


def pack(net: nn.Module, read: Collection[nn.Module]) -> None:
    """Let each linear layer of a net compute with a packed weight; hooks on modules stay.

    read: modules whose inputs or outputs somebody reads, which stay what they are.
    """
    followed = {}
    for layer, function in _followed(net):
        if layer not in read and function not in read:
            followed[layer] = _fused(function)
            function.forward = _identity
    for layer in net.modules():
        if _is_linear(layer):
            bias = layer._parameters["bias"]
            layer.forward = Packed(_weight(layer), bias, followed.get(layer, _NONE))


def multiplies(dtype: torch.dtype) -> bool:
    """Return whether oneDNN multiplies a dtype in this processor's own instructions."""
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _is_linear(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return type(module) in (nn.Linear, Conv1D)


def _weight(layer: nn.Module) -> Tensor:
    """Return the weight [out, in] of a linear layer; transformers' ``Conv1D`` has it transposed."""
    weight: Tensor = layer.get_parameter("weight")
    return weight if isinstance(layer, nn.Linear) else weight.T


def _followed(net: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Yield (linear layer, activation function) where one's result goes to the other alone."""
    for parent in net.modules():
        children = list(parent.children())
        if any(_is_linear(child) for child in children) and any(map(_fusable, children)):
            yield from _followed_in(parent)


def _followed_in(parent: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    try:
        graph = _Shallow().trace(parent)
    except Exception:  # whatever code it is that cannot be followed: nothing is fused
        return
    called = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" and len(node.args) == 1 else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        names = str(source.target), str(node.target)
        layer, function = (parent.get_submodule(name) for name in names)
        once = all(called.count(name) == 1 for name in names)
        if once and _is_linear(layer) and _fusable(function):
            yield layer, function


class _Shallow(fx.Tracer):
    """Follows the code of one module, not that of the modules in it."""

    def is_leaf_module(self, _m: nn.Module, _module_qualified_name: str) -> bool:
        return True


def _fusable(module: nn.Module) -> bool:
    return _fused(module) != _NONE


def _fused(module: nn.Module) -> tuple[str, str]:
    """Return what the library calls an activation function, and its variant."""
    from transformers.activations import GELUActivation, GELUTanh, SiLUActivation

    kinds: dict[type, tuple[str, str]] = {
        GELUTanh: ("gelu", "tanh"),
        GELUActivation: ("gelu", "none"),
        SiLUActivation: ("swish", ""),
        nn.SiLU: ("swish", ""),
        nn.ReLU: ("relu", ""),
    }
    return kinds.get(type(module), _NONE)


def _identity(value: Tensor) -> Tensor:
    return value
