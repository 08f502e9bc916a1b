"""Tiny random multimodal models, written to folders like anybody's."""

import warnings
from pathlib import Path
from typing import Any

from tests.models_on_disk import save_tokenizer

FAMILIES = ("gemma3", "llava", "qwen2_5_vl", "qwen3_vl", "mistral3", "idefics3", "paligemma")
_TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 24,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "depth": 1,
    "num_heads": 2,
    "out_hidden_size": 32,
}
_ROPE = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
_SPECIAL: dict[str, dict[str, Any]] = {
    "gemma3": {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4},
    "qwen2_5_vl": {"rope_parameters": _ROPE},
    "qwen3_vl": {"rope_parameters": _ROPE | {"mrope_interleaved": True}},
}


def save_multimodal(folder: Path, family: str) -> Any:
    """Write a random multimodal model with 64 ids and 24 positions; return it in evaluation."""
    import torch
    import transformers
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as CLASSES,
    )

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers.logging.disable_progress_bar()
        kind = transformers.CONFIG_MAPPING[family]
        usual = kind()
        text = {"model_type": usual.text_config.model_type} | _TEXT | _SPECIAL.get(family, {})
        vision = {"model_type": usual.vision_config.model_type} | _VISION
        config = kind(text_config=text, vision_config=vision)
        model = getattr(transformers, CLASSES[family])(config).eval()
        model.save_pretrained(folder)
        save_tokenizer(folder)
    return model
