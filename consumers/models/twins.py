"""The faster model that computes what a transformer-lens bridge computes, with the same weights.

The bridge computes attention step by step, so that every step has a hook, and goes through a
wrapper per module. Its twin is the Hugging Face model that it was made from, built anew without
weights and given the bridge's, so that they are in memory once. A hook is read where the bridge's
own component mapping says that it lies: at what a module takes or gives.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from consumers.models.forwards import Tap, Twin
from consumers.models.language_model import one_line
from consumers.models.packing import can_pack, pack

# The same function as one operation: tanh approximations of GELU that transformers spells out.
_FUSED = {"gelu_new": "gelu_pytorch_tanh", "gelu_fast": "gelu_pytorch_tanh"}

# What transformers leaves out without a word where attention is fused: a cap of the scores, their
# bias by distance (Falcon's), sight of later tokens. By too little for bfloat16's tolerance, maybe.
_LEFT_OUT = ("attn_logit_softcapping", "alibi", "use_bidirectional_attention")


class NoTwinError(Exception):
    """There is no faster forward for a model or for a hook; the text says why."""


def make_twin(bridge: Any, hooks: Sequence[str]) -> Twin:
    """Return the twin of a ``TransformerBridge`` with taps for the hooks.

    Raises NoTwinError if the model is no bridge, cannot be built again, or lacks a place for one of
    the hooks. Whether it computes the same has to be tried: see ``consumers.models.agreement``.
    """
    return _twin(bridge, hooks, fused=True)


def _twin(bridge: Any, hooks: Sequence[str], fused: bool) -> Twin:
    original = getattr(bridge, "original_model", None)
    if original is None:
        raise NoTwinError("transformer-lens loaded it without transformers")
    net = _unloaded(original, fused)
    pairs = dict(_shared(net, original))
    if any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
        raise NoTwinError("some of its weights have no counterpart")
    places = dict(_places(bridge, pairs))
    points = bridge.hook_dict
    lost = [name for name in hooks if id(points.get(name)) not in places]
    if lost:
        raise NoTwinError(f"no module of transformers' model takes or gives {', '.join(lost)}")
    return Twin(net.eval(), {name: places[id(points[name])] for name in hooks})


def make_eager_twin(bridge: Any, hooks: Sequence[str]) -> Twin:
    """Return a twin that computes as it was published: step by step, with nothing fused.

    Raises NoTwinError as ``make_twin``.
    """
    return replace(_twin(bridge, hooks, fused=False), eager=True)


def make_packed_twin(bridge: Any, hooks: Sequence[str]) -> Twin:
    """Return a twin whose linear layers keep a second, packed copy of the weights that they use.

    Raises NoTwinError as ``make_twin``, and where packing is not possible or not worth it.
    """
    twin = make_twin(bridge, hooks)
    if not can_pack(twin.net):
        raise NoTwinError("weights cannot be packed for this processor, dtype or memory")
    pack(twin.net, {tap.module for tap in twin.taps.values()})
    return replace(twin, packed=True)


def _unloaded(original: Any, fused: bool) -> nn.Module:
    """Return a model like the original, on the meta device, with fused operations or without."""
    config = copy.deepcopy(original.config)
    for part in {id(part): part for part in (config, config.get_text_config())}.values():
        part.output_attentions = False  # the bridge asks for them, which rules fused attention out
        for name, value in part.to_dict().items():
            if fused and isinstance(value, str) and value in _FUSED:
                setattr(part, name, _FUSED[value])
    left_out = any(getattr(config.get_text_config(), key, None) for key in _LEFT_OUT)
    config._attn_implementation = "sdpa" if fused and not left_out else "eager"
    try:
        with torch.device("meta"):
            net: nn.Module = type(original)(config)
    except Exception as error:  # whatever a model's own code raises: there is no twin then
        attention = config._attn_implementation
        raise NoTwinError(
            f"transformers cannot build it with {attention}: {one_line(error)}"
        ) from error
    return net


def _shared(twin: nn.Module, original: nn.Module) -> Iterator[tuple[int, nn.Module]]:
    """Give the twin the tensors of the original; yield (id of a module, its twin) in pairs."""
    bare = _bare(original)
    if type(bare) is not type(twin) and not twin._modules and twin._parameters:
        raise NoTwinError(f"a {type(bare).__name__} stands where it has a {type(twin).__name__}")
    yield id(bare), twin
    kinds: tuple[tuple[Any, Any], ...] = (
        (twin._parameters, bare._parameters),
        (twin._buffers, bare._buffers),
    )
    for own, theirs in kinds:
        if lost := ", ".join(own.keys() - theirs.keys()):
            raise NoTwinError(f"its {type(bare).__name__} has no {lost}")
        own.update((name, theirs[name]) for name in own)
    for name, child in twin.named_children():
        counterpart = bare._modules.get(name)
        if counterpart is None:
            raise NoTwinError(f"its {type(bare).__name__} has no {name}")
        yield from _shared(child, counterpart)


def _bare(module: nn.Module) -> nn.Module:
    """Return what the bridge's wrappers are around."""
    while (inner := module._modules.get("_original_component")) is not None:
        module = inner
    return module


def _places(bridge: Any, pairs: Mapping[int, nn.Module]) -> Iterator[tuple[int, Tap]]:
    """Yield (id of a hook point, its tap) for all that the bridge's components map to modules."""
    for component in bridge.modules():
        inner = component._modules.get("_original_component")
        if inner is None or component.name is None or id(_bare(inner)) not in pairs:
            continue
        module = pairs[id(_bare(inner))]
        for point, before in ((component.hook_in, True), (component.hook_out, False)):
            yield id(point), Tap(module, before, partial(_converted, point))
        for name in ("hook_normalized", "hook_scale"):
            if (point := component._modules.get(name)) is not None:
                yield id(point), Tap(module, True, partial(_inside, component, point))


def _converted(point: Any, value: Tensor) -> Tensor:
    """Return a value in the shape in which the hook point hands it out."""
    if point.hook_conversion is None:
        return value
    converted: Tensor = point.hook_conversion.convert(value)
    return converted


def _inside(component: Any, point: Any, value: Tensor) -> Tensor:
    """Return what a hook point inside of a normalisation sees when that reads ``value``."""
    seen: list[Tensor] = []
    handle = point.register_forward_hook(lambda _module, _args, output: seen.append(output))
    try:
        component(value)
    finally:
        handle.remove()
    return seen[0]
