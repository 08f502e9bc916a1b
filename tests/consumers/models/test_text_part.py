"""Multimodal folders: their language part is the model, and nothing is installed for the rest."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.models import text_part
from consumers.models.loading import load_model
from consumers.runs.specs import ModelSpec, suggested_context
from streams.errors import InstallError, ModelError
from tests.models_on_disk import save_model
from tests.multimodal_on_disk import FAMILIES, save_multimodal

HOOK = "hook_embed"


@pytest.fixture(autouse=True)
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``uv`` that installs nothing and notes that it was asked, in case a guard fails."""
    folder, calls = tmp_path / "stub", tmp_path / "calls"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\necho $* >> {calls}\nexit 1\n")
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return calls


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_values_are_those_of_the_whole_models_text(
    family: str, tmp_path: Path, stub: Path
) -> None:
    whole = save_multimodal(tmp_path / "m", family)
    model = load_model(str(tmp_path / "m"), "cpu")
    assert (model.vocabulary, model.context) == (64, 24)
    ids = torch.arange(18).view(2, 9) * 3 + 1
    whole.set_attn_implementation("eager")  # PaliGemma's fused one sees what comes later
    with torch.inference_mode():
        expected = whole(input_ids=ids, use_cache=False).logits
        found = model.net.original_model(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not stub.exists(), "something was to be installed"


def test_the_context_is_that_of_the_text(tmp_path: Path) -> None:
    save_multimodal(tmp_path / "m", "gemma3")
    assert suggested_context(ModelSpec(str(tmp_path / "m")), 128) == 24


def test_a_language_part_without_a_class_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_multimodal(tmp_path / "m", "qwen3_vl")
    monkeypatch.setattr(text_part, "_SAME_AS", {})
    with pytest.raises(ModelError, match=r"no text-only class .*\(qwen3_vl_text\)"):
        load_model(str(tmp_path / "m"), "cpu")


def test_a_language_part_that_computes_otherwise_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_multimodal(tmp_path / "m", "qwen3_vl")
    monkeypatch.setattr(text_part, "_gap", lambda whole, part: 0.25)
    with pytest.raises(ModelError, match=r"differs from the whole model by 2\.5e-01"):
        load_model(str(tmp_path / "m"), "cpu")


def test_what_a_library_would_install_is_named(
    tmp_path: Path, stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    save_model(tmp_path / "m", "llama")
    boot = TransformerBridge.boot_transformers

    def installing(*arguments: Any, **options: Any) -> Any:
        import contextlib
        import subprocess

        with contextlib.suppress(Exception):  # as transformer-lens does for multimodal models
            subprocess.check_call(["uv", "pip", "install", "torchvision", "-q"])
        return boot(*arguments, **options)

    monkeypatch.setattr(TransformerBridge, "boot_transformers", installing)
    with pytest.raises(InstallError, match="wants to install torchvision"):
        load_model(str(tmp_path / "m"), "cpu")
    assert not stub.exists()


def test_adapters_are_refused_with_the_cause(tmp_path: Path) -> None:
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "some/base"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    with pytest.raises(ModelError, match=r"an adapter \(LoRA\) for some/base.*merge"):
        load_model(str(tmp_path), "cpu")
