"""The floor: transformer-lens' forward to the hook and SAELens' encode, and nothing else."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.shapes import Built
from streams.arrays import AnyArray


class Bare:
    """transformer-lens' own model with the weights of a shape as they are, and its dictionary."""

    def __init__(
        self, built: Built, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        from sae_lens import StandardSAE

        self._stop = built.shape.hook_layer
        self._device = torch.device(device)
        self._model = _hooked_transformer(built).to(self._device).to(dtype)
        self._model.cfg.device = device
        self._sae = StandardSAE.load_from_disk(built.dictionary).to(self._device, dtype)

    def hooked(self, ids: AnyArray) -> Tensor:
        """Return what goes into the hook's block, [row, position, width]."""
        with torch.inference_mode():
            values: Tensor = self._model(
                torch.from_numpy(ids.astype("int64")).to(self._device), stop_at_layer=self._stop
            )
            return values

    def encode(self, hooked: Tensor) -> Tensor:
        """Return the features [row, position, feature]."""
        with torch.inference_mode():
            features: Tensor = self._sae.encode(hooked)
            return features

    def run(self, ids: AnyArray, rows: int) -> None:
        """Compute the features of ids [row, position], so many rows at a time; forget them."""
        for first in range(0, len(ids), rows):
            self.encode(self.hooked(ids[first : first + rows]))


def _hooked_transformer(built: Built) -> Any:
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    shape = built.shape
    theirs = GPT2LMHeadModel.from_pretrained(built.model).eval()
    config = HookedTransformerConfig(
        n_layers=shape.layers,
        d_model=shape.width,
        d_head=shape.width // shape.heads,
        n_heads=shape.heads,
        d_mlp=4 * shape.width,
        n_ctx=shape.context,
        d_vocab=shape.vocabulary,
        eps=theirs.config.layer_norm_epsilon,
        act_fn="gelu_new",
        normalization_type="LN",
        device="cpu",
    )
    model = HookedTransformer(config)
    model.load_and_process_state_dict(
        convert_gpt2_weights(theirs, config),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return model.eval()
