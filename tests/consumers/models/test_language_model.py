"""Models: what is loaded, what is refused and in which words."""

from pathlib import Path

import pytest
import torch

from consumers.models.language_model import LanguageModel
from consumers.models.loading import load_model, processing_of
from streams.errors import ModelError
from tests.models_on_disk import CONTEXT, SHAPES, save_model

HOOK = "blocks.1.hook_resid_post"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_folder_is_loaded_with_its_sizes(shape: str, tmp_path: Path) -> None:
    model = load_model(str(save_model(tmp_path, shape)), "cpu")
    assert (model.vocabulary, model.context) == (64, CONTEXT)
    assert HOOK in model.hooks
    wide = 128 if shape == "gpt2" else 64
    wanted = {HOOK: 32, "blocks.0.attn.hook_z": 32, "blocks.0.mlp.hook_post": wide}
    assert model.widths(wanted) == wanted


@pytest.mark.filterwarnings("ignore")
def test_hooked_transformers_do_as_well() -> None:
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    sizes = {"n_layers": 2, "d_model": 32, "n_ctx": 16, "d_head": 8, "d_vocab": 64}
    net = HookedTransformer(HookedTransformerConfig(act_fn="gelu", device="cpu", **sizes))
    names = tuple(sorted(net.hook_dict))
    model = LanguageModel("tl", net, torch.device("cpu"), 64, 16, names, {})
    wanted = {"blocks.0.hook_resid_post": 32, "blocks.0.attn.hook_z": 32}
    assert model.widths(wanted) == wanted
    ids = torch.arange(10)[None]
    got = model.run(ids, list(wanted))
    with torch.inference_mode():
        _, cache = net.run_with_cache(ids)
    for name in wanted:
        torch.testing.assert_close(got[name], cache[name])
    assert not any(point.fwd_hooks for point in net.hook_dict.values())
    assert len(model.content()) == 32


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_a_folder_needs_no_tokenizer(shape: str, tmp_path: Path) -> None:
    whole = load_model(str(save_model(tmp_path / "whole", shape)), "cpu")
    save_model(tmp_path / "bare", shape)
    for path in (tmp_path / "bare").glob("*token*"):
        path.unlink()
    bare = load_model(str(tmp_path / "bare"), "cpu")
    assert (bare.content(), bare.vocabulary) == (whole.content(), whole.vocabulary)
    ids, name = torch.tensor([[1, 5, 9]]), "blocks.1.hook_resid_post"
    assert bare.run(ids, [name])[name].equal(whole.run(ids, [name])[name])


def test_a_hook_that_a_model_cannot_give_is_one_line(tmp_path: Path) -> None:
    model = load_model(str(save_model(tmp_path, "gptj")), "cpu")
    with pytest.raises(ModelError, match=r"cannot give hook blocks\.1\.attn\.hook_result: "):
        model.widths(["blocks.1.attn.hook_result"])


def test_hooks_that_are_off_are_turned_on(disk: Path) -> None:
    model = load_model(str(disk / "gpt2"), "cpu")
    gated = {"blocks.0.hook_mlp_in": 32, "blocks.1.attn.hook_z": 32}
    assert model.widths(gated) == gated


def test_content_follows_the_weights(disk: Path, tmp_path: Path) -> None:
    same = load_model(str(save_model(tmp_path / "same", "gpt2")), "cpu")
    other = load_model(str(save_model(tmp_path / "other", "gpt2", seed=1)), "cpu")
    content = load_model(str(disk / "gpt2"), "cpu").content()
    assert same.content() == content != other.content()
    assert load_model(str(disk / "gpt2"), "cpu", "bfloat16").content() != content


def test_a_misspelt_hook_is_answered_with_close_names(disk: Path) -> None:
    model = load_model(str(disk / "gpt2"), "cpu")
    with pytest.raises(ModelError, match=r"no hook 'blocks\.1\.resid_post'; .*hook_resid_post"):
        model.widths(["blocks.1.resid_post"])


def test_a_hook_without_a_vector_per_token_is_refused(disk: Path) -> None:
    model = load_model(str(disk / "gpt2"), "cpu")
    with pytest.raises(ModelError, match="no vector per token"):
        model.widths(["blocks.0.attn.hook_pattern"])


def test_centred_weights_are_centred(disk: Path) -> None:
    ids = torch.arange(10)[None]
    raw = load_model(str(disk / "gpt2"), "cpu").run(ids, [HOOK])[HOOK]
    model = load_model(str(disk / "gpt2"), "cpu", processing=("center_writing_weights",))
    centred = model.run(ids, [HOOK])[HOOK]
    assert centred.mean(-1).abs().max() < 1e-5
    torch.testing.assert_close(centred, raw - raw.mean(-1, keepdim=True), atol=1e-5, rtol=1e-4)


def test_processing_that_differs_or_is_unknown_is_refused() -> None:
    wish = {"center_writing_weights": True}
    assert processing_of({"a": wish, "b": {**wish, "fold_ln": False}}) == tuple(wish)
    assert processing_of({"a": {}}) == processing_of({}) == ()
    with pytest.raises(ModelError, match="'a' and 'b' need different weights"):
        processing_of({"a": wish, "b": {}})
    with pytest.raises(ModelError, match="'a' was trained on a model loaded with n_ctx=5"):
        processing_of({"a": {"n_ctx": 5}})


@pytest.mark.parametrize("shape", ["bert", "t5"])
def test_models_that_look_ahead_are_refused(shape: str, tmp_path: Path) -> None:
    save_model(tmp_path, shape)
    with pytest.raises(ModelError, match="no causal language model"):
        load_model(str(tmp_path), "cpu")


def test_missing_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder /no/such"):
        load_model("/no/such", "cpu")
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path), "cpu")


def test_a_name_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="neither a model folder nor a name") as raised:
        load_model("no-such-model", "cpu")
    assert "\n" not in str(raised.value)


def test_broken_weights_are_one_line(tmp_path: Path) -> None:
    save_model(tmp_path, "gpt2")
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="cannot load model"):
        load_model(str(tmp_path), "cpu")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, "gpt2")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only pytorch_model\.bin.*save_pretrained\(NEW_FOLDER"):
        load_model(str(tmp_path), "cpu")


def test_dtypes_are_checked() -> None:
    with pytest.raises(ModelError, match="unknown model dtype 'int8'"):
        load_model("gpt2", "cpu", "int8")
