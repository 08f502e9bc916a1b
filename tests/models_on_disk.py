"""Tiny random models and dictionaries, written to folders like anybody's."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = 60
CONTEXT = 16
WIDTH = 32
SHAPES = ("gpt2", "llama", "neox")
ARCHITECTURES = ("standard", "topk", "jumprelu", "gated")


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of 60 words w0, w1, ..., an end mark and an unknown mark."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(WORDS)} | {"<end>": WORDS, "<unknown>": WORDS + 1}
    made = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<end>",
        eos_token="<end>",
        pad_token="<end>",
        unk_token="<unknown>",
    ).save_pretrained(folder)


def save_model(folder: Path, shape: str, seed: int = 0, **changes: Any) -> Path:
    """Write a random model of 3 layers, 32 wide, 64 ids and 16 positions, with its tokenizer."""
    import torch

    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils import logging

        logging.disable_progress_bar()
        _MAKERS[shape](**changes).eval().save_pretrained(folder)
        save_tokenizer(folder)
    return folder


def save_sentence_model(folder: Path) -> Path:
    """Write a random BERT, 16 wide, with a tokenizer of nine words, in the form of MiniLM's."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "rock", "sat"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=300,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def save_dictionary(
    folder: Path,
    architecture: str,
    hook: str = "blocks.1.hook_resid_post",
    width: int = WIDTH,
    components: int = 48,
    seed: int = 0,
    metadata: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a random SAELens dictionary."""
    import torch

    torch.manual_seed(seed)
    options: dict[str, Any] = {"k": 5} if "topk" in architecture else {}
    if "transcoder" in architecture:
        options = {"d_out": width, "apply_b_dec_to_input": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens.registry import get_sae_class
        from sae_lens.saes.sae import SAEMetadata

        sae_class, config_class = get_sae_class(architecture)
        notes = SAEMetadata(hook_name=hook, context_size=CONTEXT, **(metadata or {}))
        sizes = {"d_in": width, "d_sae": components, "metadata": notes}
        sae = sae_class(config_class(**(sizes | options | changes)))
        for name, parameter in sae.named_parameters():
            scale = 0.05 if name == "threshold" else 0.3
            values = torch.randn(parameter.shape) * scale
            parameter.data = values.abs() if name == "threshold" else values
        sae.save_model(folder)
    return folder


def _gpt2(**changes: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions": CONTEXT, "n_embd": WIDTH, "n_layer": 3, "n_head": 4}
    ends = {"bos_token_id": WORDS, "eos_token_id": WORDS}
    return GPT2LMHeadModel(GPT2Config(**({"vocab_size": 64} | sizes | ends | changes)))


def _llama(**changes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**(_rotary() | {"num_key_value_heads": 2} | changes)))


def _neox(**changes: Any) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(GPTNeoXConfig(**(_rotary() | changes)))


def _opt(**changes: Any) -> Any:
    from transformers import OPTConfig, OPTForCausalLM

    sizes = {"hidden_size": WIDTH, "word_embed_proj_dim": WIDTH, "ffn_dim": 64}
    ends = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
    return OPTForCausalLM(OPTConfig(**(_rotary() | sizes | ends | changes)))


def _gemma2(**changes: Any) -> Any:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    heads = {"num_key_value_heads": 2, "head_dim": 16, "query_pre_attn_scalar": 16}
    cap = {"attn_logit_softcapping": 10.0, "initializer_range": 0.2}
    return Gemma2ForCausalLM(Gemma2Config(**(_rotary() | heads | cap | changes)))


def _cohere(**changes: Any) -> Any:
    from transformers import CohereConfig, CohereForCausalLM

    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    return CohereForCausalLM(CohereConfig(**(_rotary() | ends | changes)))


def _gptj(**changes: Any) -> Any:
    from transformers import GPTJConfig, GPTJForCausalLM

    sizes = {"n_positions": CONTEXT, "n_embd": WIDTH, "n_layer": 3, "n_head": 4, "rotary_dim": 4}
    return GPTJForCausalLM(GPTJConfig(**({"vocab_size": 64} | sizes | changes)))


def _bert(**changes: Any) -> Any:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(**(_rotary() | changes)))


def _t5(**changes: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 64, "d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": 2}
    starts = {"num_heads": 4, "decoder_start_token_id": 0}
    return T5ForConditionalGeneration(T5Config(**(sizes | starts | changes)))


def _rotary() -> dict[str, Any]:
    return {
        "vocab_size": 64,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
    }


_MAKERS: dict[str, Callable[..., Any]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "neox": _neox,
    "opt": _opt,
    "gemma2": _gemma2,
    "gptj": _gptj,
    "cohere": _cohere,
    "bert": _bert,
    "t5": _t5,
}
