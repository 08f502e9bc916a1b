"""A GPT-2 folder as transformer-lens 2 has it, for the two peers that build on that."""

from pathlib import Path
from typing import Any


def hooked_model(folder: str) -> Any:
    """Return a HookedSAETransformer with the weights of a Hugging Face folder, as they are.

    transformer-lens 2 takes official names only. No processing of the weights, as Millrace
    does it. The model has computed once, so that no library is still to be loaded.
    """
    import torch
    from sae_lens import HookedSAETransformer
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()
    sizes = theirs.config
    cfg = HookedTransformerConfig(
        n_layers=sizes.n_layer,
        d_model=sizes.n_embd,
        d_head=sizes.n_embd // sizes.n_head,
        n_heads=sizes.n_head,
        d_mlp=4 * sizes.n_embd,
        n_ctx=sizes.n_positions,
        d_vocab=sizes.vocab_size,
        eps=sizes.layer_norm_epsilon,
        act_fn="gelu_new",
        normalization_type="LN",
        model_name="gpt2",
        device="cpu",
    )
    model = HookedSAETransformer(cfg, tokenizer=_tokenizer(folder))
    model.load_and_process_state_dict(
        convert_gpt2_weights(theirs, cfg),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    with torch.inference_mode():
        model.eval()(torch.zeros(8, sizes.n_positions, dtype=torch.long), return_type=None)
    return model


def _tokenizer(folder: str) -> Any:
    """Return the tokenizer, its special tokens an id behind the vocabulary: the random text has
    none, so no tool shall leave a token out. ``add_bos_token`` keeps transformer-lens from
    looking for another one."""
    from transformers import PreTrainedTokenizerFast

    names = ("pad_token", "bos_token", "eos_token", "unk_token")
    ends: dict[str, Any] = dict.fromkeys(names, "<none>")
    file = str(Path(folder) / "tokenizer.json")
    return PreTrainedTokenizerFast(
        tokenizer_file=file, name_or_path=folder, add_bos_token=True, **ends
    )


def few_ticks(histogram: Any) -> None:
    """Let a histogram class choose its tick marks by its other mode, whole numbers.

    The mode that the peers use makes up to 300,000 ticks per histogram where values stay below 0.3,
    as those of a random model do, which slows the whole tool by a factor of two to three. That is
    no fault that real weights would show, so it is taken out.
    """
    original = histogram.from_data.__func__

    def from_data(cls: Any, data: Any, n_bins: int, tickmode: str, title: str | None) -> Any:
        return original(cls, data=data, n_bins=n_bins, tickmode="ints", title=title)

    histogram.from_data = classmethod(from_data)
