"""SAELens' dictionaries as encoders: those that are written again here, if they agree with it."""

import logging
import math
from typing import Any

import torch

from consumers.encoders.forms import LinearForm, TopKForm
from consumers.encoders.rules import Rule

log = logging.getLogger(__name__)

# The classes whose encode is written again here, by the module that defines them: exactly these,
# since a class of one's own may encode otherwise.
_SAES = "sae_lens.saes."
_RELU = ("standard_sae.StandardSAE", "transcoder.Transcoder", "transcoder.SkipTranscoder")
_JUMP_RELU = (
    "jumprelu_sae.JumpReLUSAE",
    "transcoder.JumpReLUTranscoder",
    "transcoder.JumpReLUSkipTranscoder",
)
_GATED = ("gated_sae.GatedSAE",)
_TOP_K, _TOP_K_FUNCTION = "topk_sae.TopKSAE", "topk_sae.TopK"
# Largest difference to SAELens relative to the largest value, by the dictionary's dtype.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
# Entries that may differ by more: a value at its threshold may fall to either side.
_BORDERLINE = 1e-3


def form_of(name: str, sae: Any) -> LinearForm | TopKForm | None:
    """Return a SAELens dictionary's encoder, None if it must be encoded by SAELens itself.

    None for classes that are not known here, for dtypes other than float32 and bfloat16 (TopK:
    other than float32), and, with a line in the log, where some random tokens come out unlike
    ``sae.encode``.
    """
    encoder = _written_here(sae)
    if encoder is None:
        return None
    gap = _gap(sae, encoder)
    if gap <= TOLERANCE[sae.dtype]:
        return encoder
    log.warning(
        "dictionary %r: our encoding of random tokens is %.1e off SAELens', so that SAELens' own "
        "is used, which is slower",
        name,
        gap,
    )
    return None


def _written_here(sae: Any) -> LinearForm | TopKForm | None:
    """Return the encoder of a dictionary of a known class."""
    rule = _rule(sae)
    if rule is None:
        return _top_k(sae)
    return LinearForm(prepare=sae.process_sae_in, weight=sae.W_enc.detach().T, rule=rule)


def _known_as(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix(_SAES)


def _top_k(sae: Any) -> TopKForm | None:
    """Return the encoder of a TopK dictionary in float32.

    In bfloat16 a value has 8 bits, so that several are equal at the k-th place, where SAELens takes
    any of them.
    """
    if _known_as(type(sae)) != _TOP_K or _known_as(type(sae.activation_fn)) != _TOP_K_FUNCTION:
        return None
    k, shift = int(sae.activation_fn.k), sae.b_enc.detach()
    if sae.dtype != torch.float32 or not 0 < k <= len(shift):
        return None
    rescaled = sae.cfg.rescale_acts_by_decoder_norm
    scale = sae.W_dec.detach().norm(dim=-1) if rescaled else torch.ones_like(shift)
    linear = LinearForm(prepare=sae.process_sae_in, weight=sae.W_enc.detach().T)
    return TopKForm(linear, shift, scale, k)


def _rule(sae: Any) -> Rule | None:
    """Return the rule of a dictionary that has one."""
    if sae.dtype not in TOLERANCE or type(sae.activation_fn) is not torch.nn.ReLU:
        return None
    known = _known_as(type(sae))
    if known in _GATED:
        scale, shift, gate = sae.r_mag.exp(), sae.b_mag, sae.b_gate
    elif known in _RELU or known in _JUMP_RELU:
        scale, shift, gate = torch.ones_like(sae.b_enc), sae.b_enc, sae.b_enc
    else:
        return None
    cut = sae.threshold.clamp(min=0) if known in _JUMP_RELU else torch.zeros_like(shift)
    return Rule(*(part.detach().float() for part in (scale, shift, gate, cut)))


def _gap(sae: Any, encoder: LinearForm | TopKForm) -> float:
    """Return how far the encoder is from ``sae.encode``, relative to the largest value.

    The tokens are random ones of several sizes, and the directions of some components.
    """
    width, components = sae.W_enc.shape
    some = torch.Generator().manual_seed(0)
    tokens = torch.randn(4, width, generator=some).to(sae.W_enc)
    along = sae.W_enc[:, :: -(-components // 4)].T
    tokens = torch.cat([tokens, along / along.norm(dim=1, keepdim=True).clamp(min=1e-30)])
    tokens = torch.cat([tokens * size for size in (1, 10, 100)])
    with torch.inference_mode():
        expected, got = sae.encode(tokens).float(), encoder.values(tokens)
        off = (got - expected).abs() / expected.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
    off = off.flatten().nan_to_num(math.inf)
    allowed = int(_BORDERLINE * off.numel())
    return float(off.sort(descending=True).values[allowed])
