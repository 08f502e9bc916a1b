"""EleutherAI's sparsify: a folder per hookpoint with ``cfg.json`` and ``sae.safetensors``.

    the k largest of relu(encoder(x - b_dec)), the other components 0

A transcoder subtracts nothing. ``signed`` ones, of earlier versions, keep the k largest by size.
"""

import re
from pathlib import Path
from typing import Any

from consumers.models.safe_loading import read_object
from consumers.sources.formats.files import (
    config_at,
    file_in,
    read_safetensors,
    safetensor_names,
    with_hook,
)
from consumers.sources.formats.format import Converted, skip_of, taken
from streams.bounds import shown
from streams.errors import ModelError

_BLOCK = re.compile(r"(?:[\w.]+\.)?(?:layers|h)\.(\d+)(\.mlp)?")
_KNOWN = ("topk",)


class Sparsify:
    """TopK dictionaries and transcoders of EleutherAI."""

    name = "sparsify (cfg.json and sae.safetensors)"

    def recognises(self, place: Path) -> bool:
        """Return whether there is such a pair of files."""
        folder = _folder(place)
        return (folder / "cfg.json").is_file() and "b_dec" in safetensor_names(_weights(folder))

    def metadata(self, place: Path) -> dict[str, Any]:
        """Return what the hookpoint, the folder's name, and the configurations say."""
        folder = _folder(place)
        config, run = read_object(folder / "cfg.json"), config_at(folder.parent / "config.json")
        found: dict[str, Any] = {}
        if type(config.get("k")) is int:
            found["l0"] = config["k"]
        for name, there in (("model_name", "model"), ("dataset_path", "dataset")):
            if isinstance(run.get(there), str):
                found[name] = run[there]
        if type(run.get("ctx_len")) is int:
            found["context_size"] = run["ctx_len"]
        transcodes = bool(config.get("transcode"))
        hook, out = _hooks(folder.name, transcodes)
        return with_hook(found | ({"hook_name_out": out} if transcodes and out else {}), hook)

    def read(self, place: Path) -> Converted:
        """Return the dictionary."""
        folder = _folder(place)
        config = read_object(folder / "cfg.json")
        activation, k = config.get("activation", "topk"), config.get("k")
        if activation not in _KNOWN:
            raise ModelError(f"its activation {shown(activation)} is not supported, only topk is")
        if any(config.get(key) for key in ("n_targets", "n_sources")):
            raise ModelError("it reads or writes several layers at once, which is not supported")
        weights = read_safetensors(_weights(folder))
        names = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "b_dec": "b_dec"}
        names["W_dec"] = "W_dec" if "W_dec" in weights else "decoder.weight"
        made = taken(weights, names)
        made["W_enc"] = made["W_enc"].transpose(0, -1).contiguous()
        if "W_dec" not in weights:
            made["W_dec"] = made["W_dec"].transpose(0, -1).contiguous()
        if type(k) is not int or not 0 < k <= len(made["b_enc"]):
            raise ModelError(f"its cfg.json has k = {shown(k)}")
        transcodes = bool(config.get("transcode"))
        return Converted(
            "abstopk" if config.get("signed") else "topk",
            made,
            subtracts=not transcodes,
            options={"k": k},
            rebuilds=not transcodes or _hooks(folder.name, transcodes)[1] is not None,
            skip=skip_of(weights),
        )


def _folder(place: Path) -> Path:
    return place.parent if place.name in ("sae.safetensors", "cfg.json") else place


def _weights(folder: Path) -> Path:
    return file_in(folder, "sae.safetensors") or folder / "sae.safetensors"


def _hooks(hookpoint: str, transcodes: bool) -> tuple[str | None, str | None]:
    """Return what is read and what is written at a hookpoint, a module of transformers.

    A dictionary reads what a module gives out, a transcoder what goes into it.
    """
    if hookpoint == "embed_tokens":
        return "hook_embed", None
    found = _BLOCK.fullmatch(hookpoint)
    if found is None:
        # Another module's output may have a hook; for its input there is no general name.
        return (None, None) if transcodes or "." not in hookpoint else (hookpoint, None)
    block, mlp = f"blocks.{found[1]}", found[2] is not None
    out = f"{block}.hook_mlp_out" if mlp else f"{block}.hook_resid_post"
    into = f"{block}.mlp.hook_in" if mlp else f"{block}.hook_resid_pre"
    return (into, out) if transcodes else (out, None)
