"""OpenAI's sparse_autoencoder: one ``.pt`` file per layer.

    activation(encoder(x - pre_bias) + latent_bias)

activation: ReLU, or the k largest and then ReLU. Those with TopK standardise x first: less its
mean, by its standard deviation + 1e-5.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consumers.sources.formats.files import (
    file_in,
    is_torch_file,
    read_torch,
    torch_names,
    with_hook,
)
from consumers.sources.formats.format import Converted, taken
from streams.bounds import shown
from streams.errors import ModelError

_NEEDED = {"pre_bias", "encoder.weight", "latent_bias"}
# transformer_lens' names for the locations, as OpenAI's README gives them.
_LOCATIONS = {
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_attn": "hook_attn_out",
    "resid_post_attn": "hook_resid_mid",
    "resid_delta_mlp": "hook_mlp_out",
    "resid_post_mlp": "hook_resid_post",
}
_PLACE = re.compile(rf"({'|'.join(_LOCATIONS)})(?:_v\w+)?/(?:autoencoders/)?(\d+)\.pt$")


class OpenAI:
    """Dictionaries of the library sparse_autoencoder."""

    name = "OpenAI's sparse_autoencoder (.pt)"

    def recognises(self, place: Path) -> bool:
        """Return whether a file holds these tensors."""
        file = _file(place)
        return file is not None and torch_names(file) >= _NEEDED

    def metadata(self, place: Path) -> dict[str, Any]:
        """Return what the path says, as the files are published by location and layer."""
        found = _PLACE.search(place.as_posix())
        return with_hook({}, f"blocks.{found[2]}.{_LOCATIONS[found[1]]}" if found else None)

    def read(self, place: Path) -> Converted:
        """Return the dictionary."""
        file = _file(place)
        assert file is not None
        weights = read_torch(file)
        tied = "decoder.weight" not in weights
        names = {"W_enc": "encoder.weight", "b_enc": "latent_bias", "b_dec": "pre_bias"}
        made = taken(weights, names | {"W_dec": "encoder.weight" if tied else "decoder.weight"})
        made["W_enc"] = made["W_enc"].transpose(0, -1).contiguous()
        if not tied:
            made["W_dec"] = made["W_dec"].transpose(0, -1).contiguous()
        activation = weights.get("activation", "ReLU")
        if activation == "ReLU":
            return Converted("standard", made, subtracts=True)
        if activation != "TopK":
            raise ModelError(f"its activation {shown(activation)} is neither ReLU nor TopK")
        state = weights.get("activation_state_dict")
        k = _k(state if isinstance(state, Mapping) else {})
        options = {"k": k, "normalize_activations": "layer_norm"}
        return Converted("topk", made, subtracts=True, options=options)


def _k(state: Mapping[str, Any]) -> int:
    k, after = state.get("k"), state.get("postact_fn", "ReLU")
    if type(k) is not int or k < 1 or after != "ReLU":
        raise ModelError(f"its TopK has k = {shown(k)} and {shown(after)} after it, not ReLU")
    return k


def _file(place: Path) -> Path | None:
    file = file_in(place)
    return file if file is not None and is_torch_file(file) else None
