"""Dictionaries as others save them give what their publishers' formulas give."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from consumers.runs.specs import DictionarySpec
from consumers.runs.trainings import trainings
from consumers.sources.dictionary import load_dictionary
from consumers.sources.formats import hub
from consumers.sources.formats.format import Converted
from consumers.sources.formats.registry import FORMATS, find_format
from consumers.sources.source import LoadedSource
from streams.errors import ModelError
from tests.streams.same import there

CPU = torch.device("cpu")
WIDTH, FEATURES, K = 8, 20, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


TOKENS = random(16, WIDTH, seed=9) * 3
W_ENC, W_DEC = random(WIDTH, FEATURES), random(FEATURES, WIDTH, seed=1)
B_ENC, B_DEC = random(FEATURES, seed=2), random(WIDTH, seed=3)
THRESHOLD = random(FEATURES, seed=4).abs() * 2


def largest(values: Tensor, k: int = K) -> Tensor:
    kept = values.topk(k, dim=-1)
    return torch.zeros_like(values).scatter(-1, kept.indices, kept.values)


def jump(pre: Tensor, threshold: Tensor | float) -> Tensor:
    return (pre * (pre > threshold)).relu()


def expect(place: Path, formula: Tensor, hook: str | None = None) -> LoadedSource:
    """Check that a dictionary's two ways of encoding give what a formula gave for TOKENS."""
    loaded = load_dictionary("d", str(place), None if hook is None else hook, CPU)
    torch.testing.assert_close(loaded.encode(TOKENS), formula, atol=1e-4, rtol=1e-4)
    if loaded.form is not None:
        torch.testing.assert_close(loaded.form.values(TOKENS), formula, atol=1e-4, rtol=1e-4)
    assert (loaded.width, loaded.components) == (WIDTH, FEATURES)
    assert (formula != 0).any()
    return loaded


# Gemma Scope: jump_relu(x @ W_enc + b_enc), whatever b_dec is.


def gemma_scope(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    arrays = {"W_enc": W_ENC, "b_enc": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
    plain: dict[str, Any] = {k: v.numpy() for k, v in arrays.items()}
    plain["threshold"] = THRESHOLD.numpy()
    np.savez(folder / "params.npz", **(plain | changes))
    return folder


@pytest.mark.parametrize(
    ("repository", "hook"),
    [
        ("gemma-scope-2b-pt-res", "blocks.20.hook_resid_post"),
        ("models--google--gemma-scope-9b-pt-mlp", "blocks.20.hook_mlp_out"),
        ("gemma-scope-2b-pt-att", "blocks.20.attn.hook_z"),
        ("gemma-scope-2b-pt-transcoders", "blocks.20.ln2.hook_normalized"),
    ],
)
def test_gemma_scope_jumps_and_its_repository_names_the_hook(
    tmp_path: Path, repository: str, hook: str
) -> None:
    folder = gemma_scope(tmp_path / repository / "layer_20/width_16k/average_l0_71")
    loaded = expect(folder, jump(TOKENS @ W_ENC + B_ENC, THRESHOLD))
    assert expect(folder / "params.npz", loaded.encode(TOKENS)).hook == loaded.hook == hook
    assert (loaded.training.prepend_bos, loaded.training.sparsity) == (True, 71)
    assert loaded.warnings == ()


def test_gemma_scope_without_the_repositorys_name_says_what_is_assumed(tmp_path: Path) -> None:
    folder = gemma_scope(tmp_path / "layer_3/width_16k")
    loaded = load_dictionary("d", str(folder), None, CPU)
    assert loaded.hook == "blocks.3.hook_resid_post"
    assert "name another hook in the settings" in loaded.warnings[0]
    with pytest.raises(ModelError, match="names no hook: set the one"):
        load_dictionary("d", str(gemma_scope(tmp_path / "mine")), None, CPU)
    assert load_dictionary("d", str(tmp_path / "mine"), "h", CPU).hook == "h"


def test_gemma_scope_2_is_read_from_safetensors(tmp_path: Path) -> None:
    folder = tmp_path / "resid_post/layer_12_width_16k_l0_medium"
    folder.mkdir(parents=True)
    named = {"w_enc": W_ENC, "b_enc": B_ENC, "w_dec": W_DEC, "b_dec": B_DEC}
    save_file(named | {"threshold": THRESHOLD}, folder / "params.safetensors")
    (folder / "config.json").write_text(json.dumps({"l0": 50, "model_name": "google/gemma-3-1b"}))
    loaded = expect(folder, jump(TOKENS @ W_ENC + B_ENC, THRESHOLD))
    assert loaded.hook == "blocks.12.hook_resid_post"
    assert (loaded.training.sparsity, loaded.training.model) == (50, "google/gemma-3-1b")


def test_objects_in_an_archive_are_never_unpickled(tmp_path: Path) -> None:
    folder = gemma_scope(tmp_path / "layer_1", W_enc=np.array([object_that_runs()], dtype=object))
    with pytest.raises(ModelError, match="Object arrays cannot be loaded"):
        load_dictionary("d", str(folder), None, CPU)


# sparsify: the k largest of relu(encoder(x - b_dec)).


def sparsify(folder: Path, weights: dict[str, Tensor] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"activation": "topk", "num_latents": FEATURES, "k": K, "d_in": WIDTH} | config
    (folder / "cfg.json").write_text(json.dumps({"normalize_decoder": True} | told))
    named = {"encoder.weight": W_ENC.T.contiguous(), "encoder.bias": B_ENC}
    named |= {"W_dec": W_DEC, "b_dec": B_DEC} | (weights or {})
    save_file(named, folder / "sae.safetensors")
    return folder


@pytest.mark.parametrize("normalised", [True, False])
def test_sparsify_subtracts_and_takes_the_largest(tmp_path: Path, normalised: bool) -> None:
    folder = sparsify(tmp_path / "run/layers.5", normalize_decoder=normalised)
    (tmp_path / "run/config.json").write_text(json.dumps({"model": "m/n", "ctx_len": 256}))
    loaded = expect(folder, largest(((TOKENS - B_DEC) @ W_ENC + B_ENC).relu()))
    assert loaded.hook == "blocks.5.hook_resid_post"
    assert (loaded.training.context, loaded.training.model) == (256, "m/n")
    assert loaded.rebuild is not None
    rebuilt = loaded.rebuild(TOKENS, loaded.encode(TOKENS))
    torch.testing.assert_close(rebuilt, loaded.encode(TOKENS) @ W_DEC + B_DEC)


def test_sparsifys_transcoders_subtract_nothing(tmp_path: Path) -> None:
    skip = {"W_skip": random(WIDTH, WIDTH)}
    folder = sparsify(tmp_path / "layers.2.mlp", skip, transcode=True, skip_connection=True)
    loaded = expect(folder, largest((TOKENS @ W_ENC + B_ENC).relu()))
    assert (loaded.hook, loaded.training.writes) == (
        "blocks.2.mlp.hook_in",
        "blocks.2.hook_mlp_out",
    )
    assert loaded.rebuild is not None
    rebuilt = loaded.encode(TOKENS) @ W_DEC + B_DEC + TOKENS @ skip["W_skip"].T
    torch.testing.assert_close(loaded.rebuild(TOKENS, loaded.encode(TOKENS)), rebuilt)


def test_signed_sparsify_keeps_the_largest_by_size(tmp_path: Path) -> None:
    pre = (TOKENS - B_DEC) @ W_ENC + B_ENC
    kept = pre.abs().topk(K, dim=-1).indices
    wanted = torch.zeros_like(pre).scatter(-1, kept, pre.gather(-1, kept))
    assert expect(sparsify(tmp_path / "h.1", signed=True), wanted).sign == "absolute"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_weights_are_computed_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    narrow = {"encoder.weight": W_ENC.T.contiguous(), "encoder.bias": B_ENC, "b_dec": B_DEC}
    narrow = {name: weight.to(dtype) for name, weight in narrow.items()}
    pre = (TOKENS - narrow["b_dec"].float()) @ narrow["encoder.weight"].float().T
    wanted = largest((pre + narrow["encoder.bias"].float()).relu())
    expect(sparsify(tmp_path / "layers.1", narrow), wanted)


def test_a_folder_of_hookpoints_lists_them(tmp_path: Path) -> None:
    sparsify(tmp_path / "layers.0"), sparsify(tmp_path / "layers.1")
    with pytest.raises(ModelError, match=r"several dictionaries: name one of layers\.0, layers\.1"):
        load_dictionary("d", str(tmp_path), None, CPU)
    assert load_dictionary("d", f"{tmp_path}#layers.1", None, CPU).components == FEATURES


def test_what_sparsify_has_and_we_do_not_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="activation 'groupmax' is not supported"):
        load_dictionary("d", str(sparsify(tmp_path / "layers.0", activation="groupmax")), None, CPU)
    with pytest.raises(ModelError, match="k = 21"):
        load_dictionary("d", str(sparsify(tmp_path / "layers.1", k=21)), None, CPU)


# dictionary_learning: one formula per class.

LINEAR = {"encoder.weight": W_ENC.T.contiguous(), "decoder.weight": W_DEC.T.contiguous()}
TOP_K = LINEAR | {"encoder.bias": B_ENC, "b_dec": B_DEC, "k": torch.tensor(K)}
DIRECT = {"W_enc": W_ENC, "b_enc": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
GATED = {
    "r_mag": random(FEATURES, seed=5),
    "gate_bias": B_ENC,
    "mag_bias": random(FEATURES, seed=6),
}


def gated() -> Tensor:
    through = (TOKENS - B_DEC) @ W_ENC
    magnitude = (GATED["r_mag"].exp() * through + GATED["mag_bias"]).relu()
    return (through + GATED["gate_bias"] > 0) * magnitude


def dictionary_learning(folder: Path, name: str, weights: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    trainer = {
        "dict_class": name,
        "layer": 4,
        "lm_name": "m/n",
        "submodule_name": "mlp_out_layer_4",
    }
    (folder / "config.json").write_text(
        json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}})
    )
    torch.save(weights, folder / "ae.pt")
    return folder


CENTRED = (TOKENS - B_DEC) @ W_ENC + B_ENC


@pytest.mark.parametrize(
    ("name", "weights", "wanted"),
    [
        ("AutoEncoder", LINEAR | {"encoder.bias": B_ENC, "bias": B_DEC}, CENTRED.relu()),
        (
            "AutoEncoderNew",
            LINEAR | {"encoder.bias": B_ENC, "decoder.bias": B_DEC},
            (TOKENS @ W_ENC + B_ENC).relu(),
        ),
        ("GatedAutoEncoder", LINEAR | GATED | {"decoder_bias": B_DEC}, gated()),
        (
            "JumpReluAutoEncoder",
            DIRECT | {"threshold": THRESHOLD},
            jump(TOKENS @ W_ENC + B_ENC, THRESHOLD),
        ),
        ("AutoEncoderTopK", TOP_K | {"threshold": torch.tensor(-1.0)}, largest(CENTRED.relu())),
        ("BatchTopKSAE", TOP_K | {"threshold": torch.tensor(1.5)}, jump(CENTRED, 1.5)),
        (
            "MatryoshkaBatchTopKSAE",
            DIRECT | {"threshold": torch.tensor(1.5), "k": torch.tensor(K)}
            | {"group_sizes": torch.tensor([FEATURES])},
            jump(CENTRED, 1.5),
        ),
    ],
)  # fmt: skip
def test_dictionary_learnings_classes(
    tmp_path: Path, name: str, weights: dict[str, Any], wanted: Tensor
) -> None:
    folder = dictionary_learning(tmp_path / "trainer_0", name, weights)
    loaded = expect(folder, wanted)
    assert expect(folder / "ae.pt", wanted).content == loaded.content
    assert loaded.hook == "blocks.4.hook_mlp_out"
    assert (loaded.training.context, loaded.training.model) == (128, "m/n")
    assert loaded.rebuild is not None
    rebuilt = loaded.encode(TOKENS) @ W_DEC + B_DEC
    torch.testing.assert_close(
        loaded.rebuild(TOKENS, loaded.encode(TOKENS)), rebuilt, atol=1e-4, rtol=1e-4
    )


def test_classes_are_told_by_their_tensors_where_they_can_be(tmp_path: Path) -> None:
    place = tmp_path / "some.pt"
    torch.save(LINEAR | {"encoder.bias": B_ENC, "bias": B_DEC}, place)
    expect(place, CENTRED.relu(), hook="h")
    torch.save(TOP_K | {"threshold": torch.tensor(1.5)}, place)
    with pytest.raises(ModelError, match="fit AutoEncoderTopK and BatchTopKSAE: put its config"):
        load_dictionary("d", str(place), "h", CPU)


def test_lengths_that_its_library_would_multiply_by_are_said(tmp_path: Path) -> None:
    weights = LINEAR | {"encoder.bias": B_ENC, "bias": B_DEC}
    loaded = load_dictionary(
        "d", str(dictionary_learning(tmp_path / "a", "AutoEncoder", weights)), None, CPU
    )
    assert "not of length 1" in loaded.warnings[0]
    unit = (W_DEC / W_DEC.norm(dim=1, keepdim=True)).T.contiguous()
    folder = dictionary_learning(tmp_path / "b", "AutoEncoder", weights | {"decoder.weight": unit})
    assert load_dictionary("d", str(folder), None, CPU).warnings == ()


def test_values_that_depend_on_the_batch_are_refused(tmp_path: Path) -> None:
    weights = TOP_K | {"threshold": torch.tensor(-1.0)}
    folder = dictionary_learning(tmp_path / "a", "BatchTopKSAE", weights)
    with pytest.raises(ModelError, match="threshold was never measured"):
        load_dictionary("d", str(folder), None, CPU)


def test_crosscoders_are_refused(tmp_path: Path) -> None:
    stacked = {"encoder.weight": random(2, WIDTH, FEATURES), "encoder.bias": B_ENC}
    stacked |= {"decoder.weight": random(2, FEATURES, WIDTH), "bias": random(2, WIDTH)}
    place = tmp_path / "ae.pt"
    torch.save(stacked, place)
    with pytest.raises(ModelError, match=r"shape .*: a crosscoder"):
        load_dictionary("d", str(place), "h", CPU)
    folder = dictionary_learning(tmp_path / "named", "CrossCoder", stacked)
    with pytest.raises(ModelError, match="class 'CrossCoder' is not supported"):
        load_dictionary("d", str(folder), None, CPU)


RAN = list[str]()


class object_that_runs:
    def __reduce__(self) -> Any:
        return RAN.append, ("ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_that_run_do_not_run(tmp_path: Path, zipped: bool) -> None:
    place = tmp_path / "ae.pt"
    if zipped:
        torch.save({"encoder.weight": object_that_runs()}, place)
    else:
        place.write_bytes(pickle.dumps({"bias": object_that_runs()}, protocol=2))
    RAN.clear()
    with pytest.raises(ModelError, match=r"never unpickled|cannot be read"):
        load_dictionary("d", str(place), "h", CPU)
    assert RAN == []


# OpenAI: standardised inputs where the activation is TopK.


def openai(place: Path, **changes: Any) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    state = LINEAR | {"pre_bias": B_DEC, "latent_bias": B_ENC, "stats_last_nonzero": B_ENC.long()}
    torch.save(state | {"activation": "ReLU", "activation_state_dict": {}} | changes, place)
    return place


def test_openais_relu_dictionaries(tmp_path: Path) -> None:
    place = openai(tmp_path / "mlp_post_act/autoencoders/7.pt")
    loaded = expect(place, CENTRED.relu())
    assert loaded.hook == "blocks.7.mlp.hook_post"


def test_openais_topk_dictionaries_standardise(tmp_path: Path) -> None:
    state = {"k": K, "postact_fn": "ReLU"}
    place = tmp_path / "resid_post_mlp_v5_32k/autoencoders/3.pt"
    loaded = openai(place, activation="TopK", activation_state_dict=state)
    off = TOKENS - TOKENS.mean(dim=-1, keepdim=True)
    standardised = off / (off.std(dim=-1, keepdim=True) + 1e-5)
    found = expect(loaded, largest((standardised - B_DEC) @ W_ENC + B_ENC).relu())
    assert found.hook == "blocks.3.hook_resid_post"
    other = openai(tmp_path / "x.pt", activation="TopK", activation_state_dict={"k": 0})
    with pytest.raises(ModelError, match="TopK has k = 0"):
        load_dictionary("d", str(other), "h", CPU)
    other = openai(tmp_path / "x.pt", activation="Swish")
    with pytest.raises(ModelError, match="'Swish' is neither ReLU nor TopK"):
        load_dictionary("d", str(other), "h", CPU)


# circuit-tracer: W_enc lies transposed, nothing is subtracted.


def circuit_tracer(place: Path, **more: Tensor) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    named = {"W_enc": W_ENC.T.contiguous(), "b_enc": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
    save_file(named | more, place)
    config = {"model_name": "Qwen/Qwen3-0.6B", "feature_input_hook": "mlp.hook_in"}
    config |= {"feature_output_hook": "hook_mlp_out", "model_kind": "transcoder_set"}
    (place.parent / "config.yaml").write_text(yaml.safe_dump(config))
    return place


def test_circuit_tracers_transcoders(tmp_path: Path) -> None:
    place = circuit_tracer(tmp_path / "layer_11.safetensors")
    loaded = expect(place, (TOKENS @ W_ENC + B_ENC).relu())
    assert loaded.hook == "blocks.11.mlp.hook_in"
    assert loaded.training.writes == "blocks.11.hook_mlp_out"
    assert loaded.rebuild is not None
    rebuilt = loaded.encode(TOKENS) @ W_DEC + B_DEC
    torch.testing.assert_close(loaded.rebuild(TOKENS, loaded.encode(TOKENS)), rebuilt)
    threshold = {"activation_function.threshold": THRESHOLD}
    place = circuit_tracer(tmp_path / "layer_12.safetensors", **threshold)
    expect(place, jump(TOKENS @ W_ENC + B_ENC, THRESHOLD))
    transposed = circuit_tracer(tmp_path / "layer_1.safetensors", W_dec=W_DEC.T.contiguous())
    expect(transposed, (TOKENS @ W_ENC + B_ENC).relu())


def test_circuit_tracers_transcoders_keep_the_k_largest_where_they_say_so(tmp_path: Path) -> None:
    skip = random(WIDTH, WIDTH)
    place = circuit_tracer(tmp_path / "layer_3.safetensors", W_skip=skip)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text()) | {"activation": "topk"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"k": K}))
    loaded = expect(place, largest(TOKENS @ W_ENC + B_ENC).relu())
    assert "those below 0 count as 0" in loaded.warnings[0]
    assert loaded.rebuild is not None
    rebuilt = loaded.encode(TOKENS) @ W_DEC + B_DEC + TOKENS @ skip.T
    torch.testing.assert_close(loaded.rebuild(TOKENS, loaded.encode(TOKENS)), rebuilt)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ModelError, match=r"keeps the k largest, and its config\.yaml has k = None"):
        load_dictionary("d", str(place), None, CPU)


@pytest.mark.parametrize("transcode", [True, False])
def test_a_skip_connection_of_another_shape_is_refused(tmp_path: Path, transcode: bool) -> None:
    folder = sparsify(tmp_path / "layers.2.mlp", {"W_skip": W_ENC}, transcode=transcode)
    with pytest.raises(ModelError, match="its skip connection has the shape"):
        load_dictionary("d", str(folder), None, CPU)


def test_cross_layer_transcoders_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "W_enc_0.safetensors"
    save_file({"W_enc_0": W_ENC, "b_enc_0": B_ENC, "b_dec_0": B_DEC}, place)
    for each in (place, tmp_path):
        with pytest.raises(ModelError, match="cross-layer transcoder"):
            load_dictionary("d", str(each), "h", CPU)


# All of them.


def test_every_format_knows_its_own_and_no_other(tmp_path: Path) -> None:
    made = (
        sparsify(tmp_path / "layers.1"),
        gemma_scope(tmp_path / "layer_1"),
        openai(tmp_path / "1.pt"),
        dictionary_learning(tmp_path / "dl", "JumpReluAutoEncoder", DIRECT),
        circuit_tracer(tmp_path / "layer_1.safetensors"),
    )
    for place, wanted in zip(made, FORMATS, strict=True):
        assert find_format(place) is wanted
    assert find_format(tmp_path / "absent") is None


def test_creation_hears_what_they_say_before_they_are_loaded(tmp_path: Path) -> None:
    folder = gemma_scope(tmp_path / "gemma-scope-2b-pt-res/layer_20")
    spec = DictionarySpec("d", path=str(folder))
    assert trainings([spec], lambda *_: {})["d"].prepend_bos is True


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ModelError, match=r"its b_dec has the shape \[20\]"):
        Converted("standard", {"W_enc": W_ENC, "b_dec": B_ENC}, subtracts=True)


def test_a_repository_of_the_hub_is_fetched_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    sparsify(tmp_path / "layers.10")
    asked = []

    def snapshot(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    loaded = load_dictionary("d", "someone/their-saes#layers.10", None, CPU)
    assert loaded.hook == "blocks.10.hook_resid_post"
    assert asked[0][0] == "someone/their-saes"
    assert "layers.10/*" in asked[0][1]
    assert hub.fetched("gpt2-small-res-jb", "blocks.0.hook_resid_pre") is None


def test_a_part_of_a_local_folder_is_a_path_on_the_command_line(tmp_path: Path) -> None:
    from millrace.options import dictionary_values

    (one,) = there(dictionary_values((f"{tmp_path}#layers.1",)))
    assert one["path"] == str(tmp_path / "layers.1")
    (one,) = there(dictionary_values(("someone/saes#layers.1",)))
    assert (one["release"], one["id"]) == ("someone/saes", "layers.1")
