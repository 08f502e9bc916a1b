"""The weights that bring an MLP's or an attention's values into the residual stream, by hook.

    blocks.L.mlp.hook_post   the MLP's output matrix, a row per neuron
    blocks.L.attn.hook_z     the attention's, a row per value of a head, heads one after the other

found by architecture in the model's own files. What a model adds after them (a bias, a norm) is
left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from downstream.derived.unembedding import Unembedding
from streams.arrays import F32
from streams.errors import ModelError

_HOOK = re.compile(r"blocks\.(\d{1,4})\.(mlp\.hook_post|attn\.hook_z)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a block has its output matrices. rows: stored with a row per value that is read."""

    mlp: str
    attention: str
    rows: bool = False


_GATED = _Layout("mlp.down_proj.weight", "self_attn.o_proj.weight")
_LAYOUTS: Mapping[str, _Layout] = {
    "gpt2": _Layout("mlp.c_proj.weight", "attn.c_proj.weight", rows=True),
    "gpt_neo": _Layout("mlp.c_proj.weight", "attn.attention.out_proj.weight"),
    "gptj": _Layout("mlp.fc_out.weight", "attn.out_proj.weight"),
    "gpt_neox": _Layout("mlp.dense_4h_to_h.weight", "attention.dense.weight"),
    "opt": _Layout("fc2.weight", "self_attn.out_proj.weight"),
    "phi": _Layout("mlp.fc2.weight", "self_attn.dense.weight"),
    **dict.fromkeys(
        (
            *("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gemma3_text"),
            *("olmo", "olmo2", "olmo3", "smollm3", "granite", "stablelm", "cohere", "cohere2"),
        ),
        _GATED,
    ),
}


def has_output_weights(hook: str) -> bool:
    """Return whether a hook is one whose values reach the residual stream through a matrix."""
    return _HOOK.fullmatch(hook) is not None


def output_weights(model: Unembedding, hook: str) -> tuple[str, F32]:
    """Return the name of the matrix that a hook's values go through, and it [value, width].

    Raises ModelError for an architecture that is not known here, or a model without the matrix.
    """
    found = _HOOK.fullmatch(hook)
    if found is None:
        raise ValueError(hook)
    layer, part = found.groups()
    if model.architecture not in _LAYOUTS:
        raise ModelError(
            f"{model.location}: nothing is known of where the architecture {model.architecture} "
            f"has the weights after {hook}"
        )
    layout = _LAYOUTS[model.architecture]
    suffix = f"{layer}.{layout.mlp if part.startswith('mlp') else layout.attention}"
    names = [n for n in model.tensors.places if n == suffix or n.endswith(f".{suffix}")]
    if len(names) != 1:
        raise ModelError(f"{model.location} has {len(names)} tensors named {suffix}")
    matrix = model.tensors.read(names[0])
    matrix = matrix if layout.rows else matrix.T
    if matrix.ndim != 2 or matrix.shape[1] != model.width:
        raise ModelError(f"{model.location}: {names[0]} has the shape {list(matrix.shape)}")
    return names[0], matrix
