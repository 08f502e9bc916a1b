import json
import os
import pickle
import shutil

import pytest
import torch

from consumers.models.loading import load_model
from consumers.models.safe_loading import check_model_folder, safetensors_only
from consumers.sources.dictionary import load_dictionary
from streams.errors import ModelError
from streams.tokenizer.loading import load_tokenizer
from tests.models_on_disk import save_dictionary, save_model


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "model"
    save_model(folder, "gpt2")
    return folder


@pytest.fixture
def folder(published, tmp_path):
    return shutil.copytree(published, tmp_path / "model")


class Evil:
    """What makes a folder when it is unpickled."""

    def __init__(self, where):
        self.where = str(where)

    def __reduce__(self):
        return os.mkdir, (self.where,)


def change(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refusal(folder):
    with pytest.raises(ModelError) as info:
        load_model(str(folder), "cpu")
    assert "\n" not in str(info.value)
    return str(info.value)


def test_a_decoy_beside_pickled_weights_does_not_have_them_read(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    assert "has only pytorch_model.bin: weights are read from safetensors alone" in refusal(folder)
    assert not (tmp_path / "made").exists()


def test_pickled_weights_beside_real_ones_are_left_alone(folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    assert load_model(str(folder), "cpu").vocabulary
    assert not (tmp_path / "made").exists()


MAPPED = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.C", "AutoTokenizer": "evil.C"}


@pytest.fixture
def trap(folder, tmp_path):
    """Code in the model folder that leaves a trace if it is ever run."""
    (folder / "evil.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'made')!r})\nclass C: pass\n"
    )
    yield
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_an_architecture_of_transformers_loads_without_the_code_beside_it(folder, trap, name):
    change(folder / name, auto_map=MAPPED)
    assert load_model(str(folder), "cpu").vocabulary
    assert load_tokenizer(str(folder)).names


def test_code_of_an_unknown_architecture_is_never_run(folder, trap):
    change(folder / "config.json", auto_map=MAPPED, model_type="evil")
    assert "no architecture of its own for model_type" in refusal(folder)


def test_code_of_an_unknown_tokenizer_is_never_run(folder, trap):
    change(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["evil.C", None]},
        tokenizer_class="Evil",
    )
    change(folder / "config.json", auto_map=MAPPED, model_type="evil")
    with pytest.raises(ModelError, match="never run"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"transformers_weights": "pytorch_model.bin"}, "names other weights"),
        ({"transformers_weights": "../model.safetensors"}, "names other weights"),
        ({"n_layer": 10**7}, "n_layer is 10000000, more than 1,024"),
        ({"vocab_size": 2**50}, "vocab_size is"),
    ],
)
def test_configurations_out_of_bounds(folder, values, said):
    change(folder / "config.json", **values)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    "name", ["../other.safetensors", "/etc/passwd", "pytorch_model.bin", "missing.safetensors", ""]
)
def test_an_index_names_files_of_its_folder_alone(folder, name):
    (folder.parent / "other.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors"}}))
    check_model_folder(folder)
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": name}}))
    assert "which is no safetensors file in the folder" in refusal(folder)


@pytest.mark.parametrize("text", ["[" * 10**5, "NaN", "[]", '{"a": 1, "a": 2}', "\xff", "9" * 5000])
def test_any_configuration_is_one_line(folder, text):
    (folder / "config.json").write_text(text, encoding="latin-1")
    assert "config.json" in refusal(folder)


def test_within_the_block_nothing_is_unpickled_or_fetched_as_code(tmp_path):
    from transformers import PreTrainedModel, dynamic_module_utils

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    usual = PreTrainedModel.from_pretrained.__func__
    with safetensors_only():
        with pytest.raises((pickle.UnpicklingError, UserWarning)):
            torch.load(tmp_path / "evil.pt", weights_only=False)
        with pytest.raises(ModelError, match="is never run"):
            dynamic_module_utils.get_class_from_dynamic_module("evil.C", str(tmp_path))
    assert PreTrainedModel.from_pretrained.__func__ is usual
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "values", [{"d_sae": 2**33}, {"d_in": 2**40}, {"d_sae": -1}, {"d_sae": "48"}, {"d_sae": 2**21}]
)
def test_a_dictionary_whose_metadata_speaks_of_more_than_there_is(tmp_path, values):
    save_dictionary(tmp_path / "sae", "standard")
    load_dictionary("sae", str(tmp_path / "sae"), None, torch.device("cpu"))
    change(tmp_path / "sae" / "cfg.json", **values)
    with pytest.raises(ModelError, match=r"in its cfg\.json, and weights of"):
        load_dictionary("sae", str(tmp_path / "sae"), None, torch.device("cpu"))
