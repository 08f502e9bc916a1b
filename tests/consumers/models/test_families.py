"""Families that one of the fast forwards computes otherwise, or not at all, give right values."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.models.agreement import hook_widths, with_forward
from consumers.models.loading import load_model
from consumers.models.published import difference
from streams.errors import ModelError

HOOK, LENGTH = "blocks.1.hook_out", 24
_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": LENGTH,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
_SCAN = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}
_LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
_OWN: dict[str, dict[str, Any]] = {
    "falcon": {"alibi": True, "new_decoder_architecture": False, "parallel_attn": False},
    "gpt_oss": {"num_local_experts": 4, "sliding_window": 4} | _EXPERTS,
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba"]} | _SCAN,
    "gpt2": {"scale_attn_weights": False},
    "qwen3_next": {"num_experts": 4, "shared_expert_intermediate_size": 32} | _EXPERTS | _LINEAR,
    "gemma": {"use_bidirectional_attention": True},
}
FORWARDS: tuple[Any, ...] = ("auto", "transformers-eager")
# How transformer-lens, or fused attention, is found to be wrong.
_WRONG = {
    "cohere2": "transformer-lens differs from transformers' own eager forward by",
    "hunyuan_v1_dense": "transformer-lens differs from transformers' own eager forward by",
    "gpt2": "transformer-lens differs from transformers' own eager forward by",
    "qwen3_next": "transformer-lens' own forward is not used: it cannot run: ",
    "granitemoehybrid": "transformer-lens' own forward is not used: it cannot run: ",
    "openai-gpt": "transformer-lens' own forward is not used: it cannot run: hook",
    "falcon": "",  # nor is attention fused for these two
    "gpt_oss": "fused attention is not used: transformers cannot build it with sdpa: ",
    "gemma": "",
}


def save(folder: Path, family: str) -> str:
    """Write a random model of a family, sinks and biases included; return its folder."""
    import transformers

    torch.manual_seed(0)
    kind = transformers.CONFIG_MAPPING[family]
    known = kind().to_dict().keys() | kind.attribute_map.keys()
    config = kind(**{k: v for k, v in _SIZES.items() if k in known}, **_OWN.get(family, {}))
    net = transformers.AutoModelForCausalLM.from_config(config).eval()
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    net.save_pretrained(folder)
    return str(folder)


def published(folder: str, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Return what transformers' own eager code gives after the second block, loaded apart."""
    from transformers import AutoModelForCausalLM

    net: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    blocks = next(m for m in net.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 3)
    kept: list[Any] = []
    blocks[1].register_forward_hook(lambda _module, _given, output: kept.append(output))
    with torch.inference_mode():
        net(input_ids=ids, attention_mask=mask, use_cache=False)
    value: torch.Tensor = kept[0] if isinstance(kept[0], torch.Tensor) else kept[0][0]
    return value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", sorted(_WRONG))
def test_the_default_gives_the_published_values_and_says_why(family: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load_model(save(tmp_path, family), "cpu")
        assert hook_widths(model, [HOOK]) == {HOOK: 32}
        chosen = with_forward(model, [HOOK], "auto", LENGTH)
        ids = torch.randint(64, (2, LENGTH), generator=torch.Generator().manual_seed(0))
        assert difference(published(str(tmp_path), ids), chosen.run(ids, [HOOK])[HOOK]) < 3e-5
        assert chosen.reason.startswith(_WRONG[family])
        # Rows are padded on the right and carry no mask: with one, their text is the same.
        mask = torch.ones_like(ids)
        mask[0, 9:], mask[1, 20:] = 0, 0
        expected, found = published(str(tmp_path), ids, mask), chosen.run(ids, [HOOK])[HOOK]
        text = mask.bool()
        assert difference(expected[text][None], found[text][None]) < 3e-5


@pytest.mark.filterwarnings("ignore")
def test_attention_stays_as_published_where_rounding_could_hide_it(tmp_path: Path) -> None:
    folder = save(tmp_path, "falcon")
    exact, narrow = load_model(folder, "cpu"), load_model(folder, "cpu", "bfloat16")
    for model in (exact, narrow):  # what attention adds is little beside the embedding
        with torch.no_grad():
            model.net.original_model.get_input_embeddings().weight.mul_(20)
    hook = "blocks.0.hook_out"
    ids = torch.randint(64, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    expected = with_forward(exact, [hook], "transformers-eager", LENGTH).run(ids, [hook])[hook]
    found, eager = (
        with_forward(narrow, [hook], forward, LENGTH).run(ids, [hook])[hook].float()
        for forward in FORWARDS
    )
    assert difference(expected, found) < 1.3 * difference(expected, eager)


@pytest.mark.filterwarnings("ignore")
def test_a_forward_that_cannot_run_is_not_taken_when_asked_for(tmp_path: Path) -> None:
    model = load_model(save(tmp_path, "openai-gpt"), "cpu")
    with pytest.raises(ModelError, match=r"does not fire .* make a run with forward = 'auto'$"):
        with_forward(model, [HOOK], "transformer-lens", LENGTH)


@pytest.mark.filterwarnings("ignore")
def test_a_model_whose_prompts_are_read_in_both_directions_is_said(tmp_path: Path) -> None:
    model = load_model(save(tmp_path, "gemma"), "cpu")
    (line,) = with_forward(model, ["hook_embed"], "auto", LENGTH).warnings
    assert "prompts whose tokens see each other in both directions" in line
