"""A tiny Llama as a GGUF file of 4-bit weights, written by ggml's own package."""

from pathlib import Path
from typing import Any

import numpy as np

HEADS, KEY_HEADS, WIDTH, BLOCKS = 4, 2, 64, 7
SHAPE: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,  # so that neurons go beyond the threshold of the example
}
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PAIRS = ("th", "in", "er")
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def words() -> list[str]:
    """Return the vocabulary: marks, every byte as byte-level BPE writes it, and a few pairs."""
    from tokenizers.pre_tokenizers import ByteLevel

    return [*MARKS, *sorted(ByteLevel.alphabet()), *PAIRS]


def write(path: Path) -> Any:
    """Write a random model, and return transformers' own with the weights that the file holds."""
    import gguf
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokens = words()
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokens), **SHAPE)).eval()
    four_bits = gguf.GGMLQuantizationType.Q4_1
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(SHAPE["max_position_embeddings"])
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(SHAPE["intermediate_size"])
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(SHAPE["rope_theta"])
    writer.add_layer_norm_rms_eps(SHAPE["rms_norm_eps"])
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(MARKS) + [1] * (len(tokens) - len(MARKS)))
    writer.add_token_merges([" ".join(pair) for pair in PAIRS])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = weight.numpy()
            if weight.ndim == 1:
                writer.add_tensor(_ggml_name(name), values)
                continue
            heads = HEADS if "q_proj" in name else KEY_HEADS if "k_proj" in name else 0
            packed = gguf.quants.quantize(_interleaved(values, heads), four_bits)
            writer.add_tensor(_ggml_name(name), packed, raw_dtype=four_bits)
            # Whole rows move, and a block of four-bit numbers lies within one.
            kept = gguf.quants.dequantize(gguf.quants.quantize(values, four_bits), four_bits)
            weight.copy_(torch.from_numpy(kept))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _ggml_name(name: str) -> str:
    name = name.removeprefix("model.").removesuffix(".weight")
    if name in ("embed_tokens", "norm"):
        return {"embed_tokens": "token_embd.weight", "norm": "output_norm.weight"}[name]
    _, block, part = name.split(".", 2)
    return f"blk.{block}.{_NAMES[part]}.weight"


def _interleaved(values: Any, heads: int) -> Any:
    """Return rows of queries or keys in ggml's order, which takes both halves of a head in turn."""
    if not heads:
        return np.ascontiguousarray(values)
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
