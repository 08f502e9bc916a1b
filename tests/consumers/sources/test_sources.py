"""Dictionaries and weight components that cannot be loaded say why."""

import json
from pathlib import Path

import pytest
import torch

from consumers.sources.dictionary import load_dictionary
from consumers.sources.weights import load_weights
from streams.errors import ModelError
from tests.models_on_disk import save_dictionary

CPU = torch.device("cpu")


def change(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(config | changes))


def test_the_metadata_names_the_hook(disk: Path) -> None:
    loaded = load_dictionary("d", str(disk / "standard"), None, CPU)
    assert (loaded.hook, loaded.width, loaded.components) == ("blocks.1.hook_resid_post", 32, 48)
    assert load_dictionary("d", str(disk / "standard"), "other", CPU).hook == "other"


def test_content_follows_weights_and_options(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "topk")
    first = load_dictionary("d", str(folder), None, CPU).content
    assert load_dictionary("other", str(folder), "h", CPU).content == first
    change(folder, k=6)
    assert load_dictionary("d", str(folder), None, CPU).content != first


def test_missing_dictionaries_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'d': /no/sae is no SAELens folder, it lacks cfg\.json"):
        load_dictionary("d", "/no/sae", None, CPU)
    with pytest.raises(ModelError, match="Release no-release not found"):
        load_dictionary("d", "no-release#id", None, CPU)


def test_a_dictionary_without_a_hook_is_refused(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "standard")
    change(folder, metadata={})
    with pytest.raises(ModelError, match="names no hook"):
        load_dictionary("d", str(folder), None, CPU)


def test_batch_dependent_dictionaries_are_refused(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "topk")
    change(folder, architecture="batchtopk")
    with pytest.raises(ModelError, match="depend on the batch"):
        load_dictionary("d", str(folder), None, CPU)


def test_a_dictionary_that_cannot_encode_is_refused(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "topk", components=20, k=64)
    with pytest.raises(ModelError, match=r"dictionary 's' \(.*\) cannot encode: selected index k"):
        load_dictionary("s", str(folder), None, CPU)


def test_unknown_architectures_are_named(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "standard")
    change(folder, architecture="abacus")
    with pytest.raises(ModelError, match="unknown architecture 'abacus'"):
        load_dictionary("d", str(folder), None, CPU)
    (folder / "cfg.json").write_text("{")
    with pytest.raises(ModelError, match="cannot load dictionary 'd'"):
        load_dictionary("d", str(folder), None, CPU)


def test_a_scale_that_is_missing_is_said(tmp_path: Path) -> None:
    folder = save_dictionary(tmp_path, "standard", normalize_activations="expected_average_only_in")
    (line,) = load_dictionary("d", str(folder), None, CPU).warnings
    assert "encodes without it" in line


def test_weights_are_checked(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "v.safetensors"
    save_file({"V": torch.ones(32, 4), "flat": torch.ones(4)}, path)
    loaded = load_weights("w", f"{path}#V", "h", CPU)
    assert (loaded.width, loaded.components) == (32, 4)
    assert loaded.encode(torch.ones(2, 32)).tolist() == [[32.0] * 4] * 2
    with pytest.raises(ModelError, match="no tensor 'flap'; close to it: flat"):
        load_weights("w", f"{path}#flap", "h", CPU)
    with pytest.raises(ModelError, match=r"'flat' .* \[4\]"):
        load_weights("w", f"{path}#flat", "h", CPU)
    with pytest.raises(ModelError, match="weights 'w': cannot read /no/file"):
        load_weights("w", "/no/file#V", "h", CPU)
    path.write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="weights 'w': cannot read"):
        load_weights("w", f"{path}#V", "h", CPU)
