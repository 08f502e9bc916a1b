"""``millrace check``: one page about a run before it is made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.millrace.conftest import Program
from tests.models_on_disk import save_dictionary, save_model

HOOK = "blocks.1.hook_resid_post"
WORDS = [[(7 * document + 3 * place) % 60 for place in range(12)] for document in range(6)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    save_model(folder / "m", "llama")
    save_dictionary(folder / "s", "standard", metadata={"l0": 20.5, "prepend_bos": False})
    out = {"hook_name_out": "blocks.1.hook_mlp_out"}
    save_dictionary(folder / "t", "transcoder", hook="blocks.1.mlp.hook_in", metadata=out)
    (folder / "docs.jsonl").write_text(
        "".join(json.dumps({"text": " ".join(f"w{w}" for w in words)}) + "\n" for words in WORDS)
    )
    return folder


def by_hand(parts: Path) -> tuple[float, float]:
    """Return components per token and the share of variance explained, from the libraries alone."""
    from sae_lens import SAE
    from transformers import AutoModelForCausalLM

    net: Any = AutoModelForCausalLM.from_pretrained(parts / "m").eval()
    sae = SAE.load_from_disk(parts / "s").eval()
    with torch.inference_mode():
        states = net(torch.tensor(WORDS), output_hidden_states=True).hidden_states[2]
        values = states.flatten(0, 1)
        coded = sae.encode(values)
        rest = (values - sae.decode(coded)).square().sum()
        share = 1 - rest / (values - values.mean(0)).square().sum()
        return float((coded > 0).sum(1).float().mean()), float(share)


def test_what_is_measured_is_what_the_libraries_give(parts: Path, program: Program) -> None:
    done = program(
        "check", parts / "docs.jsonl", "--model", parts / "m", "--dictionary", parts / "s",
        "--dictionary", parts / "t", "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.status == 0, done.lines
    said = json.loads(done.out)
    sae, transcoder = said["sources"]
    per_token, share = by_hand(parts)
    assert sae["per_token"] == pytest.approx(per_token, rel=1e-3)
    assert sae["explained"] == pytest.approx(share, rel=1e-3)
    assert (sae["hook"], sae["width"], sae["components"]) == (HOOK, 32, 48)
    assert (sae["published"], sae["writes"]) == (20.5, None)
    assert max(sae["encode_gap"], transcoder["encode_gap"]) < 1e-4
    assert (transcoder["writes"], transcoder["explained"]) == ("blocks.1.hook_mlp_out", None)
    assert 0 <= said["forward_gap"][0] < 1e-5
    assert 0 <= said["micro_batch_gap"] < 1e-4
    assert (said["rows"], said["tokens"], said["bos_id"]) == (6, 72, None)
    assert said["rate"] > 0 < said["memory"]
    assert not list(Path().iterdir()), "nothing is written"


def test_the_page_says_it_for_people_with_the_warnings(parts: Path, program: Program) -> None:
    done = program(
        "check", parts / "docs.jsonl", "--model", parts / "m", "--dictionary", parts / "s",
        "--bos", "--device", "cpu",
    )  # fmt: skip
    assert done.status == 0, done.lines
    for text in (
        "every row begins with '<end>' (id 60)",
        "off the published code by",
        "off sae.encode by",
        "(published with 20.5)",
        "of the variance explained",
        "off micro-batch 1 by",
        "warning    dictionary 'sae' was trained on rows without a BOS",
    ):
        assert text in done.out, done.out


def test_without_text_the_rows_are_random_and_it_is_said(parts: Path, program: Program) -> None:
    done = program("check", "--model", parts / "m", "--dictionary", parts / "s", "--device", "cpu")
    assert done.status == 0, done.lines
    assert "(random token ids)" in done.out
    assert "no warnings" in done.out


def test_a_wrong_encoder_shows(
    parts: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consumers.activations.compute import TorchEngine

    compute = TorchEngine.compute

    def wrong(self: Any, *arguments: Any) -> Any:
        found = compute(self, *arguments)
        object.__setattr__(found, "value", np.float32(2) * found.value)
        return found

    monkeypatch.setattr(TorchEngine, "compute", wrong)
    done = program(
        "check", parts / "docs.jsonl", "--model", parts / "m", "--dictionary", parts / "s",
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert json.loads(done.out)["sources"][0]["encode_gap"] == pytest.approx(1, rel=1e-3)


def test_creating_a_run_says_it_in_short(parts: Path, program: Program, tmp_path: Path) -> None:
    settings = tmp_path / "my.toml"
    settings.write_text(
        f'broker = "memory://short"\nstore = "{tmp_path}/o"\n[corpus]\ntokenizer = "{parts}/m"\n'
        f'[model]\npath = "{parts}/m"\ndevice = "cpu"\n'
        f'[[dictionaries]]\nname = "sae"\npath = "{parts}/s"\n'
    )
    done = program("produce", parts / "docs.jsonl", "--settings", settings)
    assert done.status == 0, done.lines
    done = program("runs", "create", "--settings", settings)
    assert done.status == 0, done.lines
    assert "forward: transformers" in done.out
    assert "sae: 48 components at blocks.1.hook_resid_post (32 wide), off sae.encode by" in done.out
    assert "for the corpus with one such worker" in done.out
