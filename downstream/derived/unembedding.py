"""A model's unembedding and final norm, found in its folder by architecture.

Two ways to read logits off a direction d of the residual stream, W_U [vocabulary, width] being the
unembedding as it is stored:

    raw     d W_U'
    folded  (g * c(d)) W_U'   g: the final norm's gain; c subtracts the mean for a LayerNorm,
                              and does nothing for an RMSNorm

Folded is what transformer-lens computes after ``fold_ln`` up to a number per direction, which its
centred unembedding subtracts from all tokens alike. Biases, which no direction changes, what a
model multiplies all logits by (``logit_scale``), and soft caps are left out: they keep the order.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downstream.derived.dictionaries import sha256_of
from downstream.derived.safetensors_files import Tensors, open_tensors
from streams.arrays import F32
from streams.bounds import shown
from streams.errors import ModelError
from streams.regular_files import read_bounded

Convention = Literal["raw", "folded"]
CONVENTIONS: tuple[Convention, ...] = ("raw", "folded")
_HEADS = ("lm_head.weight", "embed_out.weight")
_MOST_CONFIG = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where an architecture has its parts; norm: beside the embedding, "" if it has no weights.

    centred: a LayerNorm, which subtracts the mean. above_one: the gain is stored less one.
    """

    embedding: str
    norm: str
    centred: bool
    above_one: bool = False


_GPT = _Layout("wte.weight", "ln_f.weight", centred=True)
_WORDS = _Layout("word_embeddings.weight", "ln_f.weight", centred=True)
_RMS = _Layout("embed_tokens.weight", "norm.weight", centred=False)
_RMS_ABOVE_ONE = _Layout("embed_tokens.weight", "norm.weight", centred=False, above_one=True)
_CENTRED = _Layout("embed_tokens.weight", "norm.weight", centred=True)

_LAYOUTS: Mapping[str, _Layout] = {
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "codegen", "gpt_bigcode"), _GPT),
    **dict.fromkeys(("bloom", "falcon"), _WORDS),
    "mpt": _Layout("wte.weight", "norm_f.weight", centred=True),
    "gpt_neox": _Layout("embed_in.weight", "final_layer_norm.weight", centred=True),
    "opt": _Layout("embed_tokens.weight", "final_layer_norm.weight", centred=True),
    "phi": _Layout("embed_tokens.weight", "final_layernorm.weight", centred=True),
    "olmo": _Layout("embed_tokens.weight", "", centred=True),
    **dict.fromkeys(("stablelm", "starcoder2", "cohere", "cohere2"), _CENTRED),
    "nemotron": _Layout("embed_tokens.weight", "norm.weight", centred=True, above_one=True),
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), _RMS_ABOVE_ONE),
    **dict.fromkeys(
        (
            *("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi3"),
            *("olmo2", "olmo3", "olmoe", "granite", "smollm3", "exaone4", "glm", "glm4"),
            *("arcee", "helium", "apertus"),
        ),
        _RMS,
    ),
}


@dataclass(frozen=True)
class Unembedding:
    """The unembedding of a model. gain: [width], of its final norm. names: where they are from."""

    location: str
    architecture: str
    tensors: Tensors
    head: str
    gain: F32
    centred: bool

    @cached_property
    def weights(self) -> F32:
        """The unembedding [vocabulary, width]; raises ModelError if it is not finite."""
        found = self.tensors.read(self.head)
        if not np.isfinite(found).all():
            raise ModelError(f"{self.location}: the unembedding {self.head} is not finite")
        return found

    @property
    def width(self) -> int:
        """Values of the residual stream per token."""
        return len(self.gain)

    def folded(self, directions: F32) -> F32:
        """Return directions [n, width] with the final norm folded in, float32."""
        centred = (
            directions - directions.mean(axis=1, keepdims=True) if self.centred else directions
        )
        found: F32 = centred * self.gain
        return found

    def provenance(self) -> dict[str, Any]:
        """Return what says from which weights logits were computed."""
        norm = "LayerNorm" if self.centred else "RMSNorm"
        return {
            "model": self.location,
            "architecture": self.architecture,
            "unembedding": self.head,
            "unembedding_sha256": sha256_of(self.weights),
            "final_norm": norm,
        }


def find_unembedding(location: str) -> Unembedding:
    """Return the unembedding of the model in a Hugging Face folder.

    Raises ModelError for what is no folder, for an architecture that is not known here, and where
    embedding and head are said to be one and are not.
    """
    folder = Path(location).expanduser()
    if not folder.is_dir():
        raise ModelError(f"{location} is no folder here: name the model's folder with --model")
    config = _config(folder / "config.json")
    architecture = str(config.get("model_type"))
    if architecture not in _LAYOUTS:
        raise ModelError(
            f"{location}: nothing is known of where the architecture {shown(architecture)} has its "
            f"unembedding (known are {', '.join(sorted(_LAYOUTS))})"
        )
    layout, tensors = _LAYOUTS[architecture], open_tensors(folder)
    embedding = _embedding(tensors, layout.embedding)
    head = _head(tensors, embedding, config.get("tie_word_embeddings"))
    shape = tensors.shape(head)
    if len(shape) != 2:
        raise ModelError(f"{location}: the unembedding {head} has the shape {list(shape)}")
    gain = _gain(tensors, embedding, layout, shape[1])
    return Unembedding(location, architecture, tensors, head, gain, layout.centred)


def _config(file: Path) -> dict[str, Any]:
    """Return a model's configuration; of a multimodal one that of its text part."""
    try:
        found = json.loads(read_bounded(file, _MOST_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} holds no JSON object")
    text = found.get("text_config")
    return {**found, **text} if isinstance(text, dict) else found


def _embedding(tensors: Tensors, suffix: str) -> str:
    found = [n for n in tensors.places if n == suffix or n.endswith(f".{suffix}")]
    if len(found) != 1:
        what = f"{len(found)} tensors" if found else "no tensor"
        raise ModelError(f"{tensors.origin} has {what} named {suffix}: its embedding is not found")
    return found[0]


def _head(tensors: Tensors, embedding: str, tied: object) -> str:
    """Return the name of the unembedding; tied: what the configuration says, None for nothing."""
    ends = tuple(f".{head}" for head in _HEADS)
    own = [name for name in tensors.places if name in _HEADS or name.endswith(ends)]
    if len(own) > 1:
        raise ModelError(f"{tensors.origin} has several heads: {', '.join(own)}")
    if not own and tied is False:
        raise ModelError(f"{tensors.origin} has no lm_head.weight, and is not tied to {embedding}")
    if not own:
        return embedding
    if tied is True and not np.array_equal(tensors.read(own[0]), tensors.read(embedding)):
        raise ModelError(
            f"{tensors.origin} is tied by its config.json, and {own[0]} differs from {embedding}: "
            "correct tie_word_embeddings"
        )
    return own[0]


def _gain(tensors: Tensors, embedding: str, layout: _Layout, width: int) -> F32:
    if not layout.norm:
        return np.ones(width, np.float32)
    name = embedding.removesuffix(layout.embedding) + layout.norm
    gain = tensors.read(name)
    if gain.shape != (width,) or not np.isfinite(gain).all():
        raise ModelError(
            f"{tensors.origin}: the final norm {name} has the shape {list(gain.shape)}, and the "
            f"unembedding reads {width} values"
        )
    return gain + np.float32(1) if layout.above_one else gain
