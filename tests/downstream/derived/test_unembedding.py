"""Every architecture of the table, held against the logits of transformers' own model."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from downstream.derived.unembedding import _LAYOUTS, find_unembedding
from streams.errors import ModelError

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
GPT = {"n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2}
EXPERTS = ("qwen2_moe", "qwen3_moe", "olmoe")
MORE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("gpt2", "gpt_bigcode", "bloom"), GPT),
    "gptj": GPT | {"rotary_dim": 4},
    "codegen": GPT | {"rotary_dim": 4, "num_attention_heads": 4},
    **{name: {"head_dim": 8} for name in ("gemma", "glm", "glm4", "helium")},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": None},
    "gpt_neo": {"attention_types": [[["global"], 1]], "num_layers": 1, "num_heads": 2},
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 1, "max_seq_len": 8},
    "opt": {"word_embed_proj_dim": 16, "ffn_dim": 16},
    **{name: {"num_experts": 2, "num_experts_per_tok": 1} for name in EXPERTS},
    "mixtral": {"num_local_experts": 2},
}
SCALES = {"cohere": 0.0625, "cohere2": 0.0625}


def build(architecture: str) -> Any:
    """Return a random model of an architecture, its gains and biases random, too."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.for_model(architecture, **(SIZES | MORE.get(architecture, {})))
        model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and "layers" not in name and ".h." not in name:
                parameter.normal_(0.5, 0.2)
    return model


def logits_after(model: Any, residual: torch.Tensor) -> torch.Tensor:
    """Return the model's logits where its last block gives a residual [n, width]."""
    blocks = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))

    def replaced(_module: Any, _given: Any, output: Any) -> Any:
        given = residual[None]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    handle = blocks[-1].register_forward_hook(replaced)
    try:
        with torch.no_grad():
            ids = torch.ones(1, len(residual), dtype=torch.int64)
            return model(input_ids=ids, use_cache=False).logits[0]
    finally:
        handle.remove()


@pytest.mark.parametrize("architecture", sorted(_LAYOUTS))
def test_folded_logits_are_those_of_the_whole_model(tmp_path, architecture):
    """At a large residual d the model gives g * c(d) / rms(c(d)) W_U', and biases."""
    model = build(architecture)
    model.save_pretrained(tmp_path)
    found = find_unembedding(str(tmp_path))
    head = model.get_output_embeddings().weight.detach().float().numpy()
    np.testing.assert_array_equal(found.weights, head)
    directions = torch.randn(6, 16) + 0.7
    # Two opposite residuals have the same biases, and opposite logits beside them.
    plus, minus = (logits_after(model, sign * 1e4 * directions) for sign in (1, -1))
    spread = directions - directions.mean(1, keepdim=True) * found.centred
    scale = (spread.pow(2).mean(1, keepdim=True)).sqrt().numpy() / SCALES.get(architecture, 1)
    expected = (plus - minus).numpy() / 2 * scale
    got = found.folded(directions.numpy()) @ found.weights.T
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)


def model_folder(folder: Any, tensors: dict[str, Any], **config: Any) -> str:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    return str(folder)


EMBEDDING = {"model.embed_tokens.weight": torch.ones(4, 3), "model.norm.weight": torch.ones(3)}
HEAD = {"lm_head.weight": torch.zeros(4, 3)}


def test_a_head_of_its_own_is_taken_and_a_tied_one_is_the_embedding(tmp_path):
    untied = model_folder(tmp_path / "untied", EMBEDDING | HEAD, tie_word_embeddings=False)
    assert find_unembedding(untied).head == "lm_head.weight"
    tied = model_folder(tmp_path / "tied", EMBEDDING, tie_word_embeddings=True)
    assert find_unembedding(tied).head == "model.embed_tokens.weight"


def test_the_text_part_of_a_multimodal_model_is_found(tmp_path):
    inner = {f"language_model.{name}": tensor for name, tensor in EMBEDDING.items()}
    text = {"model_type": "gemma3_text", "tie_word_embeddings": True}
    place = model_folder(tmp_path / "whole", inner, model_type="gemma3", text_config=text)
    found = find_unembedding(place)
    assert (found.architecture, found.gain.tolist()) == ("gemma3_text", [2, 2, 2])


@pytest.mark.parametrize(
    ("tensors", "config", "line"),
    [
        (
            EMBEDDING,
            {"model_type": "abacus"},
            "nothing is known of where the architecture 'abacus'",
        ),
        (EMBEDDING | HEAD, {"tie_word_embeddings": True}, "tied by its config.json, and lm_head"),
        (EMBEDDING, {"tie_word_embeddings": False}, "has no lm_head.weight, and is not tied"),
        (HEAD, {}, "no tensor named embed_tokens.weight"),
        (EMBEDDING | {"b.embed_tokens.weight": torch.ones(1)}, {}, "2 tensors named embed_tokens"),
        ({"model.embed_tokens.weight": torch.ones(4, 3)}, {}, "has no tensor 'model.norm.weight'"),
        (EMBEDDING | {"model.norm.weight": torch.ones(2)}, {}, "reads 3 values"),
    ],
)
def test_what_is_not_found_is_named_in_one_line(tmp_path, tensors, config, line):
    with pytest.raises(ModelError, match=line):
        find_unembedding(model_folder(tmp_path / "model", tensors, **config))


def test_a_name_is_no_folder(tmp_path):
    with pytest.raises(ModelError, match="name the model's folder with --model"):
        find_unembedding("gpt2-that-is-nowhere")
