"""SAELens' TopK dictionary, whose training multiplies only by the latents that are active.

SAELens multiplies all latents by the decoder, and by their gradients, 32 of 4,096 of which are not
0; on a processor a step of training then takes two to three times as long. Losses and gradients are
the same but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from sae_lens.saes.topk_sae import TopKTrainingSAE
from torch import Tensor
from torch.nn.functional import embedding_bag


class _Chosen(torch.autograd.Function):
    """Some of the encoder's products, whose gradients are those of these alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, products: Tensor, latents: Tensor) -> Tensor:
        ctx.save_for_backward(x, latents)
        ctx.shape = weights.shape
        return products.gather(1, latents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None, None]:
        x, latents = ctx.saved_tensors
        width, count = ctx.shape
        with torch.enable_grad():
            rows = x.new_zeros(count, width).requires_grad_()
            sums = embedding_bag(latents, rows, per_sample_weights=gradients[0], mode="sum")
        (found,) = torch.autograd.grad(sums, rows, x)
        return None, found.T, None, None


class SparseTopK(TopKTrainingSAE):
    """The dictionary for training. `reshape_activations` and run-time norms are not known to it."""

    def encode_with_hidden_pre(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return latents, and all products without gradients, both `[token, latent]`."""
        x = self.process_sae_in(x)
        norms = self.W_dec.norm(dim=-1) if self.cfg.rescale_acts_by_decoder_norm else None
        with torch.no_grad():
            products = torch.addmm(self.b_enc, x, self.W_enc)
            scores = products if norms is None else products * norms
            latents = scores.topk(self.cfg.k, sorted=False).indices
        values = _Chosen.apply(x, self.W_enc, products - self.b_enc, latents) + self.b_enc[latents]
        if norms is not None:
            values = values * norms[latents]
        acts = torch.zeros_like(products).scatter(1, latents, values.relu())
        return self.hook_sae_acts_post(acts), self.hook_sae_acts_pre(scores)

    def decode(self, feature_acts: Tensor) -> Tensor:
        """Return reconstructions `[token, width]` from latents `[token, latent]`."""
        values, latents = feature_acts.topk(self.cfg.k, sorted=False)
        if self.cfg.rescale_acts_by_decoder_norm:
            values = values / self.W_dec.norm(dim=-1)[latents]
        product = embedding_bag(latents, self.W_dec, per_sample_weights=values, mode="sum")
        return self.hook_sae_recons(product + self.b_dec)

    def calculate_topk_aux_loss(
        self,
        sae_in: Tensor,
        sae_out: Tensor,
        hidden_pre: Tensor,
        dead_neuron_mask: Tensor | None,
    ) -> Tensor:
        """Return the loss that revives dead latents, from their columns alone."""
        if dead_neuron_mask is None or not dead_neuron_mask.any():
            return sae_out.new_tensor(0.0)
        dead, most = dead_neuron_mask.nonzero()[:, 0], sae_in.shape[-1] // 2
        directions = self.W_dec[dead]
        acts = self.process_sae_in(sae_in) @ self.W_enc[:, dead] + self.b_enc[dead]
        if len(dead) > most:
            norms = directions.norm(dim=-1)
            scores = acts * norms if self.cfg.rescale_acts_by_decoder_norm else acts
            kept = scores.topk(most, sorted=False).indices
            acts = torch.zeros_like(acts).scatter(1, kept, acts.gather(1, kept))
        missed = acts @ directions - (sae_in - sae_out).detach()
        scale = self.cfg.aux_loss_coefficient * min(len(dead) / most, 1.0)
        return scale * missed.pow(2).sum(dim=-1).mean()
