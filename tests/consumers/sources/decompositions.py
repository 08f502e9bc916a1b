"""Random decomposed layers, saved as SPD saves them, and their importances by plain loops."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from streams.arrays import AnyArray

MODULE = "h.0.mlp.c_fc"


def save_decomposition(path: Path, tensors: Mapping[str, AnyArray]) -> Path:
    """Write tensors as a safetensors file."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(each) for name, each in tensors.items()}, path)
    return path


def random_layer(
    gates: str, width: int = 32, components: int = 11, module: str = MODULE, seed: int = 0
) -> dict[str, AnyArray]:
    """Return the state of one layer. gates: mlp, vector_mlp, shared_mlp, linear or none."""
    random, dashed = np.random.default_rng(seed), module.replace(".", "-")

    def drawn(*shape: int) -> AnyArray:
        return random.normal(0, 0.6, shape).astype(np.float32)

    state = {
        f"_components.{dashed}.V": drawn(width, components),
        f"_components.{dashed}.U": drawn(components, 7),
    }
    sizes = {
        "mlp": [1, 5, 3, 1],
        "vector_mlp": [width, 4, 1],
        "shared_mlp": [width, 6, 5, components],
        "linear": [1, 1],
        "none": [0],
    }[gates]
    owners = () if gates == "shared_mlp" else (components,)
    for number, (before, after) in enumerate(pairwise(sizes)):
        name = "linear" if gates == "linear" else f"layers.{2 * number}"
        state[f"_ci_fns.{dashed}.{name}.W"] = drawn(*owners, before, after)
        state[f"_ci_fns.{dashed}.{name}.b"] = drawn(*owners, after)
    return state


def plain_values(state: Mapping[str, AnyArray], x: AnyArray, values: str) -> AnyArray:
    """Return the components [token, component] of hook values, one token and component at a time.

    In float64 from the published formulas.
    """
    v = next(each for name, each in state.items() if name.endswith(".V")).astype(np.float64)
    layers = [
        (weight.astype(np.float64), state[name.removesuffix("W") + "b"].astype(np.float64))
        for name, weight in state.items()
        if name.endswith(".W")
    ]
    out = np.zeros((len(x), v.shape[1]))
    for token, value in enumerate(x.astype(np.float64)):
        for component in range(v.shape[1]):
            inner = float(value @ v[:, component])
            if values == "component_activation":
                out[token, component] = inner
            else:
                out[token, component] = _squashed(_gate(layers, value, inner, component), values)
    return out


def _gate(layers: Any, value: AnyArray, inner: float, component: int) -> float:
    from scipy.special import erf

    shared = layers[0][0].ndim == 2
    reads_inner = not shared and layers[0][0].shape[1] == 1
    hidden = np.array([inner]) if reads_inner else value
    for number, (weight, bias) in enumerate(layers):
        if number:
            hidden = hidden / 2 * (1 + erf(hidden / np.sqrt(2)))
        if not shared:
            weight, bias = weight[component], bias[component]
        hidden = hidden @ weight + bias
    return float(hidden[component if shared else 0])


def _squashed(gate: float, values: str) -> float:
    if values == "pre_sigmoid":
        return gate
    if values == "sigmoid":
        return 1 / (1 + float(np.exp(-gate)))
    if gate > 1:
        return 1.0 if values == "lower_leaky" else 1 + 0.01 * (gate - 1)
    return max(gate, 0.0)
