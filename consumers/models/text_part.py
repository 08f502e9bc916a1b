"""The language model inside of a multimodal one, as the text-only model that transformers has.

Loaded by transformers as the whole that was published, so that it maps the names of the weights;
then the language part alone is handed on, under its own causal class, and the rest is let go.
"""

from typing import Any

import torch
from torch import Tensor, nn

from consumers.models.language_model import one_line
from consumers.models.published import difference
from consumers.models.tolerances import TOLERANCE
from streams.errors import ModelError

# Language parts that transformers has no causal class for, and the text model that they are as long
# as a row has no images: positions of several axes are then equal on all of them.
_SAME_AS = {
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_5_omni_text": "qwen2",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_omni_moe_text": "qwen3_moe",
}


def load_text_part(location: str, config: Any, dtype: torch.dtype) -> Any | None:
    """Return the causal text model of a multimodal folder or name, on the CPU; else None.

    config: transformers', of the whole.

    None for models that are text models as they are. Raises ModelError if the language part is none
    that transformers has a causal class for, or computes otherwise than inside of the whole.
    """
    text = config.get_text_config(decoder=True)
    if text is config or config.is_encoder_decoder:
        return None
    kind, text = _causal_class(location, text)
    whole = _whole(location, config, dtype)
    part = next((module for module in whole.modules() if type(module) is kind), None)
    if part is not None:
        return _ready(part, text)
    part = _built(location, kind, text, whole)
    gap = _gap(whole, part)
    if not gap <= TOLERANCE[dtype]:  # NaN is no agreement
        raise ModelError(
            f"{location}: the language part of {type(whole).__name__}, computed as a "
            f"{kind.__name__}, differs from the whole model by {gap:.1e} of the values"
        )
    return _ready(part, text)


def _ready(part: Any, text: Any) -> Any:
    """Return a text model as a bridge wants it: with the name of its class."""
    part.config.architectures = text.architectures
    return part


def _causal_class(location: str, text: Any) -> tuple[type, Any]:
    """Return the causal class of a language part, and the configuration for it."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    if (name := _SAME_AS.get(text.model_type)) is not None:
        values = {key: value for key, value in text.to_dict().items() if key != "model_type"}
        text = AutoConfig.for_model(name, **values)
    if type(text) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"{location} is multimodal, and transformers has no text-only class for its language "
            f"part ({text.model_type}), so it cannot be used"
        )
    kind: type = MODEL_FOR_CAUSAL_LM_MAPPING[type(text)]
    text.architectures = [kind.__name__]
    text._attn_implementation = "eager"
    return kind, text


def _whole(location: str, config: Any, dtype: torch.dtype) -> Any:
    import transformers

    names = config.architectures or [""]
    kind = getattr(transformers, names[0], None) or transformers.AutoModelForImageTextToText
    return kind.from_pretrained(
        location,
        config=config,
        dtype=dtype,
        attn_implementation="eager",
        trust_remote_code=False,
        use_safetensors=True,
    ).eval()


def _built(location: str, kind: type, text: Any, whole: Any) -> Any:
    """Return a text model with the tensors of the whole one's language part."""
    from transformers.initialization import no_init_weights

    dtype = next(whole.parameters()).dtype
    with no_init_weights():
        part: Any = kind(text).to(dtype).eval()
    base = part.base_model
    found = [m for m in whole.modules() if isinstance(m, type(base)) or _like(m, base)]
    head = whole.get_output_embeddings()
    if not found or head is None:
        raise ModelError(
            f"{location} is multimodal, and its {type(whole).__name__} holds no "
            f"{type(base).__name__}, so that its text cannot be computed alone"
        )
    if type(found[0]) is type(base):
        setattr(part, part.base_model_prefix, found[0])
    else:
        base.load_state_dict(found[0].state_dict(), assign=True)
    part.set_output_embeddings(head)
    return part


def _like(module: nn.Module, base: nn.Module) -> bool:
    """Return whether a module holds tensors of the same names and shapes."""
    mine = {name: tensor.shape for name, tensor in base.state_dict().items()}
    return {name: tensor.shape for name, tensor in module.state_dict().items()} == mine


def _gap(whole: Any, part: Any) -> float:
    """Return how far the last hidden states of random ids are apart, relative to their length."""
    chance = torch.Generator().manual_seed(0)
    vocabulary = part.config.vocab_size
    ids = torch.randint(vocabulary, (2, min(16, _context(part))), generator=chance)
    special = {
        value
        for name, value in whole.config.to_dict().items()
        if type(value) is int and name.endswith(("token_id", "token_index"))
    }
    usual = next(n for n in range(vocabulary) if n not in special)
    ids[torch.isin(ids, torch.tensor([n for n in special if n >= 0], dtype=ids.dtype))] = usual
    expected = _hidden(whole, ids)
    return difference(expected, _hidden(part, ids))


def _context(part: Any) -> int:
    return int(getattr(part.config, "max_position_embeddings", None) or 16)


def _hidden(model: Any, ids: Tensor) -> Tensor:
    """Return what is given to the head, [row, position, width]."""
    seen: list[Tensor] = []
    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    try:
        with torch.inference_mode():
            model(input_ids=ids, use_cache=False)
    except Exception as error:  # whatever a model's own code raises, the person gets one line
        what = f"{type(model).__name__} cannot read text alone"
        raise ModelError(f"{what}: {one_line(error)}") from error
    finally:
        handle.remove()
    return seen[0]
