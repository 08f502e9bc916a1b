"""dictionary_learning: a folder with ``ae.pt``, tensors by name, and ``config.json``.

    AutoEncoder            relu(encoder(x - bias))
    AutoEncoderNew         relu(encoder(x))
    GatedAutoEncoder       relu(exp(r_mag) * e + mag_bias) where e + gate_bias > 0,
                           e = encoder(x - decoder_bias)
    JumpReluAutoEncoder    relu(e) where e > threshold, e = x @ W_enc + b_enc
    AutoEncoderTopK        the k largest of relu(encoder(x - b_dec))
    BatchTopKSAE           relu(encoder(x - b_dec)) where above the threshold
    MatryoshkaBatchTopKSAE relu((x - b_dec) @ W_enc + b_enc) where above the threshold

The class is told by the names of the tensors, and by config.json where two have the same ones.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consumers.sources.formats.files import (
    config_at,
    file_in,
    is_torch_file,
    read_torch,
    torch_names,
    with_hook,
)
from consumers.sources.formats.format import Converted, taken
from streams.bounds import shown
from streams.errors import ModelError

_LINEAR = {"encoder.weight", "decoder.weight"}
_DIRECT = {"W_enc", "b_enc", "W_dec", "b_dec"}
_CLASSES = {
    "AutoEncoder": _LINEAR | {"encoder.bias", "bias"},
    "AutoEncoderNew": _LINEAR | {"encoder.bias", "decoder.bias"},
    "GatedAutoEncoder": _LINEAR | {"decoder_bias", "r_mag", "gate_bias", "mag_bias"},
    "AutoEncoderTopK": _LINEAR | {"encoder.bias", "b_dec", "k", "threshold"},
    "BatchTopKSAE": _LINEAR | {"encoder.bias", "b_dec", "k", "threshold"},
    "MatryoshkaBatchTopKSAE": _DIRECT | {"k", "threshold", "group_sizes"},
    "JumpReluAutoEncoder": _DIRECT | {"threshold"},
}
# Tensors that a class need not have: earlier versions did without them.
_OPTIONAL = {"k", "threshold", "group_sizes"}
_SUBMODULES = {"resid_post": "hook_resid_post", "mlp_out": "hook_mlp_out"}
_SUBMODULES |= {"attention_out": "hook_attn_out", "attn_out": "hook_attn_out"}


class DictionaryLearning:
    """Dictionaries of the library dictionary_learning."""

    name = "dictionary_learning (ae.pt)"

    def recognises(self, place: Path) -> bool:
        """Return whether there is a torch file with the tensors of one of the classes."""
        file = _file(place)
        if file is None:
            return False
        names = torch_names(file)
        if file.name == "ae.pt" or not names:
            return True  # if it cannot be read, reading it says why
        return any(names >= needed - _OPTIONAL for needed in _CLASSES.values())

    def metadata(self, place: Path) -> dict[str, Any]:
        """Return what config.json beside the weights says."""
        trainer, buffer = _config(place)
        found: dict[str, Any] = {}
        if isinstance(trainer.get("lm_name"), str):
            found["model_name"] = trainer["lm_name"]
        if type(buffer.get("ctx_len")) is int:
            found["context_size"] = buffer["ctx_len"]
        if type(trainer.get("k")) is int:
            found["l0"] = trainer["k"]
        return with_hook(found, _hook(trainer, buffer))

    def read(self, place: Path) -> Converted:
        """Return the dictionary."""
        file = _file(place)
        assert file is not None
        weights, (trainer, _) = read_torch(file), _config(place)
        said = trainer.get("dict_class")
        fitting = [n for n, needed in _CLASSES.items() if set(weights) >= needed - _OPTIONAL]
        if said is not None and said not in _CLASSES:
            raise ModelError(
                f"its class {shown(said)} is not supported, only {', '.join(_CLASSES)} are"
            )
        if said is not None and said not in fitting:
            raise ModelError(f"it lacks weights of {said}: {', '.join(sorted(weights)[:8])}")
        known = [said] if said is not None else fitting
        if said is None and "group_sizes" in weights:
            known = ["MatryoshkaBatchTopKSAE"]
        elif said is None and set(fitting) >= {"JumpReluAutoEncoder"} and "k" not in weights:
            known = ["JumpReluAutoEncoder"]
        if len(known) != 1:
            raise ModelError(
                f"its tensors fit {' and '.join(known) or 'no known class'}: put its config.json, "
                "which names the class (trainer.dict_class), beside it"
            )
        return _convert(str(known[0]), weights, trainer)


def _convert(name: str, weights: Mapping[str, Any], trainer: Mapping[str, Any]) -> Converted:
    linear = "encoder.weight" in _CLASSES[name]
    names = {"W_enc": "encoder.weight", "W_dec": "decoder.weight"} if linear else {}
    if linear and name != "GatedAutoEncoder":
        names["b_enc"] = "encoder.bias"
    if not linear:
        names = {each: each for each in sorted(_DIRECT)}
    names["b_dec"] = {
        "AutoEncoder": "bias",
        "AutoEncoderNew": "decoder.bias",
        "GatedAutoEncoder": "decoder_bias",
    }.get(name, "b_dec")
    if name == "GatedAutoEncoder":
        names |= {"r_mag": "r_mag", "b_mag": "mag_bias", "b_gate": "gate_bias"}
    made = taken(weights, names)
    if linear:  # torch's linear layers hold [out, in]
        made |= {key: made[key].transpose(0, -1).contiguous() for key in ("W_enc", "W_dec")}
    if name == "AutoEncoderTopK":
        k = _k(weights, trainer)
        return Converted("topk", made, subtracts=True, options={"k": k})
    if name in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"):
        made["threshold"] = _threshold(weights, made["W_enc"])
        return Converted("jumprelu", made, subtracts=name != "JumpReluAutoEncoder")
    architecture = "gated" if name == "GatedAutoEncoder" else "standard"
    rescaled = name.startswith("AutoEncoder") and not _unit(made["W_dec"])
    return Converted(
        architecture,
        made,
        subtracts=name != "AutoEncoderNew",
        warnings=(
            "its decoder directions are not of length 1; its values are taken as they stand, "
            "while dictionary_learning's from_pretrained multiplies them by these lengths",
        )
        if rescaled
        else (),
    )


def _k(weights: Mapping[str, Any], trainer: Mapping[str, Any]) -> int:
    found = weights.get("k")
    k = int(found) if isinstance(found, Tensor) and found.numel() == 1 else trainer.get("k")
    if type(k) is not int or not 0 < k <= len(weights["encoder.weight"]):
        raise ModelError(f"it has k = {shown(k)}")
    return k


def _threshold(weights: Mapping[str, Any], encoder: Tensor) -> Tensor:
    """Return a threshold per component; raises ModelError where it was never measured."""
    found = weights.get("threshold")
    if not isinstance(found, Tensor):
        raise ModelError("it has no threshold, without which its values depend on the batch")
    value = found.float()
    if value.ndim == 0:
        value = torch.full((encoder.shape[-1],), float(value))
    if bool((value < 0).any()) and found.ndim == 0:
        raise ModelError(
            "its threshold was never measured (it is below 0), so that its values depend on the "
            "batch: train on, or set the threshold"
        )
    return value


def _unit(decoder: Tensor) -> bool:
    return bool(torch.allclose(decoder.norm(dim=1), torch.ones(len(decoder)), atol=1e-3))


def _file(place: Path) -> Path | None:
    file = file_in(place, "ae.pt")
    return file if file is not None and is_torch_file(file) else None


def _config(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the trainer's part of config.json and the buffer's."""
    folder = place.parent if place.is_file() else place
    config = config_at(folder / "config.json")
    parts = (config.get("trainer"), config.get("buffer"))
    trainer, buffer = (part if isinstance(part, dict) else {} for part in parts)
    return trainer, buffer


def _hook(trainer: Mapping[str, Any], buffer: Mapping[str, Any]) -> str | None:
    """Return what is read: the residual stream after the layer, if nothing else is said."""
    layer, name = trainer.get("layer"), trainer.get("submodule_name")
    if type(layer) is not int or buffer.get("io", "out") != "out":
        return None
    if not isinstance(name, str):
        return f"blocks.{layer}.hook_resid_post"
    part = re.sub(r"_layer_\d+$", "", name)
    return f"blocks.{layer}.{_SUBMODULES[part]}" if part in _SUBMODULES else name
