"""Models and dictionaries of random weights, written to folders like anybody's."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.random_text import random_rows

if TYPE_CHECKING:
    from benchmarks.shapes import Shape

_ROWS = 64
_SPREAD = 1.3
_MOST = 0.2
_CHUNK = 512
_DECODER = 10.0
"""Rows to calibrate on, sigma of the log-normal densities, the largest density, features at once,
and the length of a decoder row."""


def save_model(shape: "Shape", folder: Path, seed: int) -> None:
    """Write a random GPT-2 of a shape as safetensors, with a tokenizer of words w0, w1, ..."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=shape.vocabulary,
        n_positions=shape.context,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).eval().save_pretrained(folder)
    words = {f"w{number}": number for number in range(shape.vocabulary)}
    made = Tokenizer(models.WordLevel(words, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = {"bos_token": "w0", "eos_token": "w0", "pad_token": "w0", "unk_token": "w0"}
    PreTrainedTokenizerFast(tokenizer_object=made, **ends).save_pretrained(folder)


def save_dictionary(shape: "Shape", model: Path, folder: Path, seed: int, l0: float) -> None:
    """Write a SAELens ``standard`` dictionary for the shape's hook of a model in a folder.

    Its biases are set feature by feature on one text, each to its own density, and then together on
    a second text, so that ``l0`` features fire per token on text that was not used for either.
    """
    torch.manual_seed(seed + 1)
    densities = _densities(shape.features, l0, seed)
    encoder = torch.nn.functional.normalize(torch.randn(shape.features, shape.width), dim=1)
    first, second = (_hooked(shape, model, (seed, 7, text)) for text in range(2))
    centre = first.mean(0)
    biases = _biases(encoder, first - centre, densities)
    biases += _shift(encoder, second - centre, biases, l0)
    scale = _scale(encoder, second - centre, biases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import StandardSAE, StandardSAEConfig
        from sae_lens.saes.sae import SAEMetadata

        notes = SAEMetadata(hook_name=shape.hook, context_size=shape.context)
        sae = StandardSAE(StandardSAEConfig(d_in=shape.width, d_sae=shape.features, metadata=notes))
        sae.W_enc.data = (encoder * scale).T.contiguous()
        sae.W_dec.data = encoder * _DECODER
        sae.b_enc.data = biases * scale
        sae.b_dec.data = centre
        sae.save_model(folder)


def _densities(features: int, l0: float, seed: int) -> Tensor:
    """Return log-normal densities [feature] that add up to ``l0``, none above 0.2."""
    drawn = np.exp(_SPREAD * np.random.default_rng(seed).standard_normal(features))
    for _ in range(20):  # what the limit takes from the frequent goes to the others
        drawn = np.minimum(drawn * l0 / drawn.sum(), _MOST)
    return torch.from_numpy(drawn)


def _hooked(shape: "Shape", model: Path, seed: tuple[int, ...]) -> Tensor:
    """Return values at the hook float32 [token, width] for fresh text.

    The hook is the input of a block of the Hugging Face model: no transformer-lens is needed.
    """
    from transformers import GPT2LMHeadModel

    net = GPT2LMHeadModel.from_pretrained(model).eval()
    ids = random_rows(shape.vocabulary, shape.context, _ROWS, seed).astype(np.int64)
    with torch.inference_mode():
        out: Any = net.transformer(torch.from_numpy(ids), output_hidden_states=True)
    # hidden_states[n] goes into block n.
    values: Tensor = out.hidden_states[shape.hook_layer]
    return values.reshape(-1, shape.width).clone()


def _biases(encoder: Tensor, centred: Tensor, densities: Tensor) -> Tensor:
    """Return the bias of each feature that lets it fire at its density of the tokens."""
    tokens = len(centred)
    thresholds = []
    for start in range(0, len(encoder), _CHUNK):
        part = slice(start, start + _CHUNK)
        descending = (encoder[part] @ centred.T).sort(dim=1, descending=True).values
        at = (densities[part] * tokens).clamp(0, tokens - 2)
        below, share = at.long(), (at % 1).float()
        low, high = (descending.gather(1, (below + more)[:, None])[:, 0] for more in (0, 1))
        thresholds.append(low + (high - low) * share)
    return -torch.cat(thresholds)


def _shift(encoder: Tensor, centred: Tensor, biases: Tensor, l0: float) -> Tensor:
    """Return what to add to all biases so that ``l0`` features fire per token, by bisection."""
    low, high = -1.0, 1.0
    scale = centred.std() * encoder.norm(dim=1).mean() * np.sqrt(centred.shape[1] / 64)
    for _ in range(14):
        middle = (low + high) / 2
        counted = _fired(encoder, centred, biases + middle * scale)
        low, high = (low, middle) if counted > l0 else (middle, high)
    return torch.full_like(biases, float((low + high) / 2 * scale))


def _fired(encoder: Tensor, centred: Tensor, biases: Tensor) -> float:
    """Return how many features fire per token."""
    total = 0
    for start in range(0, len(encoder), _CHUNK):
        part = slice(start, start + _CHUNK)
        total += int((torch.addmm(biases[part], centred, encoder[part].T) > 0).sum())
    return total / len(centred)


def _scale(encoder: Tensor, centred: Tensor, biases: Tensor) -> float:
    """Return the factor that makes 1 of the mean value of what fires."""
    some = slice(0, _CHUNK)
    values = torch.addmm(biases[some], centred, encoder[some].T)
    fired = values[values > 0]
    return float(1 / fired.mean()) if len(fired) else 1.0
