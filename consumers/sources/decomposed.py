"""Layers of decomposed models (SPD, param-decomp) as sources: causal importances or ``x @ V``.

Reads the state of SPD's ``ComponentModel`` as safetensors. Of a decomposed layer it holds V [in,
component] and U [component, out], whose products add up to the layer's weight, and the gates.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from consumers.encoders.forms import LinearForm
from consumers.encoders.importance_form import (
    SQUASHES,
    GateLayer,
    Gates,
    ImportanceForm,
    InnerGates,
    SharedGates,
    VectorGates,
)
from consumers.models.language_model import close, content_of, one_line
from consumers.sources.source import LoadedSource, OpenedSource, WantedSource
from streams.errors import ModelError

INNER = "component_activation"
"""The values ``x @ V``, beside those of ``SQUASHES``."""

_GATES = ("ci_fn._ci_fns", "_ci_fns", "_gates")  # of SPD's versions, the newest first
_LAYERS = re.compile(r"(?:layers\.(\d+)|linear)\.W")
_MODULE = re.compile(r"_components\.(.+)\.V|(.+)\.components\.V")
_PREFIXES = ("target_model.", "patched_model.", "")


class Decomposed:
    """The kind of source for a decomposed layer; its location is ``file#module#values``."""

    name = "decomposed"

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return the components; errors as in ``load_decomposed``."""
        source = load_decomposed(wanted.name, wanted.location, str(wanted.hook), device)
        return OpenedSource(source.hook, lambda _width: source)


def load_decomposed(name: str, location: str, hook: str, device: torch.device) -> LoadedSource:
    """Return the components of one layer in float32.

    location: ``file#module#values``; module as the decomposed model names it, values a key of
    ``SQUASHES`` or ``INNER``. Raises ModelError in one line for what cannot be read or does not fit
    together.
    """
    path, module, values = _located(name, location)
    tensors = _tensors(name, path, module)
    v = tensors["V"].to(device, torch.float32)
    content = content_of(tensors.items())
    width, components = int(v.shape[0]), int(v.shape[1])

    def source(
        encode: Callable[[Tensor], Tensor], form: LinearForm | ImportanceForm
    ) -> LoadedSource:
        return LoadedSource(
            name, Decomposed.name, location, content, hook, width, components,
            encode=encode, form=form, sign="absolute" if values == INNER else "value",
        )  # fmt: skip

    if values == INNER:
        linear = LinearForm(prepare=lambda values: values.float(), weight=v.T.contiguous())
        return source(lambda values: values.float() @ v, linear)
    layers = [
        GateLayer(
            tensors[weight].to(device, torch.float32), tensors[bias].to(device, torch.float32)
        )
        for weight, bias in _layer_names(tensors)
    ]
    where = f"decomposition {name!r}: module {module!r} of {path}"
    form = ImportanceForm(_gates(v, layers, where), SQUASHES[values], components)
    return source(form.values, form)


def load_factors(name: str, location: str) -> tuple[str, Tensor, Tensor | None]:
    """Return the content's hash, V [in, component] and U [component, out], None if it is not there.

    Raises ModelError as ``load_decomposed``.
    """
    path, module, _ = _located(name, location)
    tensors = _tensors(name, path, module)
    return content_of(tensors.items()), tensors["V"], tensors.get("U")


def _located(name: str, location: str) -> tuple[str, str, str]:
    """Return file, module and values of a location."""
    layer, _, values = location.rpartition("#")
    path, _, module = layer.rpartition("#")
    if values not in (*SQUASHES, INNER):
        known = ", ".join((*SQUASHES, INNER))
        raise ModelError(f"decomposition {name!r}: no values {values!r}; known are {known}")
    return path, module, values


def _tensors(name: str, path: str, module: str) -> dict[str, Tensor]:
    """Return V, U and the gates of a module, gates by their names within it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            known = list(file.keys())
            names = _names(known, module)
            if "V" not in names:
                modules = sorted({_module(each) for each in known} - {""})
                hint = close(module, modules) or f"; it has {', '.join(modules[:5]) or 'none'}"
                raise ModelError(
                    f"decomposition {name!r}: {path} has no decomposed module {module!r}{hint}"
                )
            found: dict[str, Tensor] = {each: file.get_tensor(names[each]) for each in names}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"decomposition {name!r}: cannot read {path}: {one_line(error)}"
        ) from error
    for key, tensor in found.items():
        if not tensor.is_floating_point() or 0 in tensor.shape or not tensor.isfinite().all():
            raise ModelError(
                f"decomposition {name!r}: tensor {names[key]!r} of {path} is {tensor.dtype} "
                f"{list(tensor.shape)}: it has to hold finite numbers"
            )
    if found["V"].ndim != 2:
        raise ModelError(
            f"decomposition {name!r}: tensor {names['V']!r} of {path} is "
            f"{list(found['V'].shape)}, and V is [width of the hook, components]"
        )
    return found


def _names(known: Iterable[str], module: str) -> dict[str, str]:
    """Return V, U and names of gates within a module -> the names of their tensors in the file."""
    dashed = module.replace(".", "-")
    found = {}
    for name in known:
        for each in ("V", "U"):
            older = {f"{prefix}{module}.components.{each}" for prefix in _PREFIXES}
            if name == f"_components.{dashed}.{each}" or name in older:
                found[each] = name
        for gates in _GATES:
            if name.startswith(start := f"{gates}.{dashed}."):
                found[name.removeprefix(start)] = name
    return found


def _module(tensor: str) -> str:
    """Return the module whose V a tensor is, "" for other tensors."""
    if (match := _MODULE.fullmatch(tensor)) is None:
        return ""
    if match[1]:
        return match[1].replace("-", ".")
    return match[2].removeprefix("target_model.").removeprefix("patched_model.")


def _layer_names(tensors: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names of weight and bias of each layer of gates that has both, in order."""
    known = set(tensors)
    numbered = sorted(
        (int(match[1] or 0), name) for name in known if (match := _LAYERS.fullmatch(name))
    )
    names = [(name, f"{name.removesuffix('W')}b") for _, name in numbered]
    return [(weight, bias) for weight, bias in names if bias in known]


def _gates(v: Tensor, layers: Sequence[GateLayer], where: str) -> Gates:
    """Return the gates that the shapes of their layers say; raises ModelError for any others."""
    width, components = v.shape
    if not layers:
        raise ModelError(
            f"{where} has no gates that are known here (layers.N.W and b, or linear.W and b): "
            f"take values = {INNER!r}"
        )
    inputs = int(layers[0].weight.shape[-2]) if layers[0].weight.ndim > 1 else 0
    if layers[0].weight.ndim == 2 and _fit(layers, (), width, components):
        return SharedGates(tuple(layers))
    own = _fit(layers, (components,), inputs, 1)
    if own and inputs == 1 and width > 1:
        return InnerGates(v.T.contiguous(), tuple(layers))
    if own and inputs == width:
        return VectorGates(tuple(layers))
    shapes = ", ".join(str(list(layer.weight.shape)) for layer in layers)
    raise ModelError(
        f"{where} has gates of the shapes {shapes}, which read neither a component's activation "
        f"nor the {width} values of the hook, for {components} components"
    )


def _fit(layers: Sequence[GateLayer], owners: tuple[int, ...], inputs: int, outputs: int) -> bool:
    """Return whether each layer takes what the one before it gives."""
    for layer in layers:
        if tuple(layer.weight.shape[:-1]) != (*owners, inputs):
            return False
        inputs = int(layer.weight.shape[-1])
        if tuple(layer.bias.shape) != (*owners, inputs):
            return False
    return inputs == outputs
