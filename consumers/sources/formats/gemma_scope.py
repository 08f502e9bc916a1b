"""Gemma Scope: ``params.npz`` in folders by layer, or ``params.safetensors`` of Gemma Scope 2.

    (x @ W_enc + b_enc) * (x @ W_enc + b_enc > threshold), and never below 0

b_dec is not subtracted. What a dictionary reads is said by the repository's name or a config.json.
"""

import re
from pathlib import Path
from typing import Any

from consumers.sources.formats.files import (
    array_names,
    config_at,
    file_in,
    layer_of,
    read_arrays,
    read_safetensors,
    safetensor_names,
    with_hook,
)
from consumers.sources.formats.format import Converted, taken
from streams.errors import ModelError

_NAMES = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")}
_OF_TWO = _NAMES | {"W_enc": "w_enc", "W_dec": "w_dec"}
# What SAELens reads from the names of the repositories (Gemma Scope) and folders (Gemma Scope 2).
_HOOKS = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
_HOOKS |= {"transcoders": "ln2.hook_normalized"}
_HOOKS_OF_TWO = {"resid_post": "hook_resid_post", "mlp_out": "hook_mlp_out"}
_HOOKS_OF_TWO |= {"attn_out": "attn.hook_z", "transcoder": "hook_mlp_in"}


class GemmaScope:
    """JumpReLU dictionaries of Google DeepMind."""

    name = "Gemma Scope (params.npz)"

    def recognises(self, place: Path) -> bool:
        """Return whether there is an archive of exactly these weights."""
        file = _file(place)
        if file is None:
            return False
        names = array_names(file) if file.suffix == ".npz" else safetensor_names(file)
        wanted = _NAMES if file.suffix == ".npz" else _OF_TWO
        return names >= set(wanted.values())

    def metadata(self, place: Path) -> dict[str, Any]:
        """Return what the path and a config.json say."""
        folder = place.parent if place.is_file() else place
        config = config_at(folder / "config.json")
        found: dict[str, Any] = {"prepend_bos": True, "context_size": 1024}
        if isinstance(config.get("l0"), int | float):
            found["l0"] = config["l0"]
        elif said := re.search(r"average_l0_(\d+)", str(folder)):
            found["l0"] = int(said[1])
        if isinstance(config.get("model_name"), str):
            found["model_name"] = config["model_name"]
        part, layer = _part(folder), layer_of(folder)
        if layer is not None and part in ("ln2.hook_normalized", "hook_mlp_in"):
            found["hook_name_out"] = f"blocks.{layer}.hook_mlp_out"
        hook = None if layer is None else f"blocks.{layer}.{part or 'hook_resid_post'}"
        return with_hook(found, hook)

    def read(self, place: Path) -> Converted:
        """Return the dictionary."""
        file = _file(place)
        assert file is not None
        if "embedding" in file.parent.parts or any("clt" in p for p in file.parent.parts[-3:]):
            raise ModelError(
                "it reads embeddings or writes to several layers (a CLT), which is not supported"
            )
        archive = file.suffix == ".npz"
        weights = read_arrays(file) if archive else read_safetensors(file)
        if "affine_skip_connection" in weights:
            raise ModelError("its affine skip connection is not supported")
        made = taken(weights, _NAMES if archive else _OF_TWO)
        part = _part(file.parent)
        return Converted(
            "jumprelu",
            made,
            subtracts=False,
            rebuilds=part not in ("ln2.hook_normalized", "hook_mlp_in"),
            warnings=_guess(file.parent) if part is None else (),
        )


def _file(place: Path) -> Path | None:
    file = file_in(place, "params.npz", "params.safetensors")
    return file if file is not None and file.suffix in (".npz", ".safetensors") else None


def _part(folder: Path) -> str | None:
    """Return the hook inside a block, None where no name in the path says it."""
    path = str(folder)
    if found := re.search(r"gemma-scope-[\w.-]*?-(res|mlp|att|transcoders)(?![a-z])", path):
        return _HOOKS[found[1]]
    found = re.search(r"(?:^|/)(resid_post|mlp_out|attn_out|transcoder)", path)
    return _HOOKS_OF_TWO[found[1]] if found else None


def _guess(folder: Path) -> tuple[str, ...]:
    layer = layer_of(folder)
    if layer is None:
        return ()
    return (
        f"the path names layer {layer} and not what is read there: taken for the residual stream "
        f"after it, blocks.{layer}.hook_resid_post; name another hook in the settings",
    )
