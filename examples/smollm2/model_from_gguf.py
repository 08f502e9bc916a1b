"""A model and its tokenizer, from a GGUF file to a Hugging Face folder of safetensors."""

from __future__ import annotations

from pathlib import Path


def convert(gguf: Path, out: Path) -> int:
    """Write the model of a GGUF file as `save_pretrained` does; return its parameters.

    The quantised weights are unpacked to float32 by transformers (with the `gguf` package) and
    stored as bfloat16, which is finer than four bits and a scale.  The folder is complete once it
    has its name.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = str(gguf.parent), gguf.name
    unpacked = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    # transformers refuses to save a model that it read from GGUF; the same class without what
    # says how the file was quantised holds the same weights.
    config = unpacked.config.to_dict()
    config.pop("quantization_config", None)
    model = type(unpacked)(type(unpacked.config)(**config))
    model.load_state_dict(unpacked.state_dict())
    draft = out.with_name(f".{out.name}.draft")
    model.to(torch.bfloat16).save_pretrained(draft)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(draft)
    draft.rename(out)
    return sum(parameter.numel() for parameter in model.parameters())
