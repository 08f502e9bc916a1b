"""Transcoders of circuit-tracer: ``layer_N.safetensors`` beside ``config.yaml``.

    activation(x @ W_enc.T + b_enc), W_enc [component, width] in the file

activation: of the k largest if config.yaml says ``topk``; else JumpReLU where there is a threshold,
else ReLU. Nothing is subtracted.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consumers.sources.formats import SAELENS_WEIGHTS
from consumers.sources.formats.files import (
    file_in,
    layer_of,
    read_safetensors,
    safetensor_names,
    with_hook,
    yaml_at,
)
from consumers.sources.formats.format import Converted, skip_of, taken
from streams.bounds import shown
from streams.errors import ModelError

_NEEDED = {"W_enc", "b_enc", "W_dec", "b_dec"}
_THRESHOLD = "activation_function.threshold"
_LARGEST = ("of the k largest values those below 0 count as 0, which circuit-tracer keeps",)
_CROSS_LAYER = re.compile(r"W_(enc|dec)(_\d+)+")


class CircuitTracer:
    """Transcoders of one layer each, ReLU, JumpReLU or the k largest."""

    name = "circuit-tracer (layer_N.safetensors)"

    def recognises(self, place: Path) -> bool:
        """Return whether a file holds these tensors, or those of a cross-layer transcoder."""
        file = file_in(place)
        if file is None:
            return _cross_layer(place)
        names = safetensor_names(file)
        crossing = any(map(_CROSS_LAYER.fullmatch, names))
        return crossing or (file.name != SAELENS_WEIGHTS and names >= _NEEDED)

    def metadata(self, place: Path) -> dict[str, Any]:
        """Return what the file's name and config.yaml beside it say."""
        layer, config = layer_of(place), yaml_at(place.parent / "config.yaml")
        found: dict[str, Any] = {"prepend_bos": True}
        if isinstance(config.get("model_name"), str):
            found["model_name"] = config["model_name"]
        hook = _hook(layer, config.get("feature_input_hook", "mlp.hook_in"))
        out = _hook(layer, config.get("feature_output_hook", "hook_mlp_out"))
        return with_hook(found | ({"hook_name_out": out} if out else {}), hook)

    def read(self, place: Path) -> Converted:
        """Return the transcoder; what its skip connection adds is none of its components."""
        file = file_in(place)
        if file is None or not safetensor_names(file) >= _NEEDED:
            raise ModelError(
                "it is a cross-layer transcoder (CLT), which writes to several layers at once: "
                "not supported; transcoders of one layer each are"
            )
        weights = read_safetensors(file)
        made = taken(weights, {name: name for name in _NEEDED})
        made["W_enc"] = made["W_enc"].transpose(0, -1).contiguous()
        features = len(made["b_enc"])
        if made["W_dec"].shape[0] != features:
            made["W_dec"] = made["W_dec"].transpose(0, -1).contiguous()
        config = yaml_at(place.parent / "config.yaml")
        writes = self.metadata(place).get("hook_name_out") is not None
        usual: dict[str, Any] = {"subtracts": False, "rebuilds": writes, "skip": skip_of(weights)}
        activation = config.get("activation")
        if activation == "topk" or "k" in weights:
            return Converted(
                "topk",
                made,
                options={"k": _k(config, weights, features)},
                warnings=_LARGEST,
                **usual,
            )
        threshold = None if activation == "relu" else weights.get(_THRESHOLD)
        if activation != "relu" and threshold is None and "log_thresholds" in weights:
            threshold = weights["log_thresholds"].float().exp()
        if threshold is None:
            return Converted("standard", made, **usual)
        made["threshold"] = _checked(threshold, features)
        return Converted("jumprelu", made, **usual)


def _k(config: Mapping[str, Any], weights: Mapping[str, Tensor], features: int) -> int:
    k = config.get("k", weights.get("k"))
    if isinstance(k, Tensor) and k.numel() == 1 and k.dtype == torch.int64:
        k = int(k)
    if type(k) is not int or not 0 < k <= features:
        raise ModelError(f"it keeps the k largest, and its config.yaml has k = {shown(k)}")
    return k


def _checked(threshold: Tensor, features: int) -> Tensor:
    value = threshold.float().flatten()
    if bool((value < 0).any()):
        raise ModelError("some of its thresholds are below 0, which is not supported")
    return value.expand(features).contiguous() if len(value) == 1 else value


def _hook(layer: int | None, name: Any) -> str | None:
    return f"blocks.{layer}.{name}" if layer is not None and isinstance(name, str) else None


def _cross_layer(place: Path) -> bool:
    if not place.is_dir():
        return False
    kind = yaml_at(place / "config.yaml").get("model_kind")
    return kind == "cross_layer_transcoder" or any(place.glob("W_enc_0.safetensors"))
