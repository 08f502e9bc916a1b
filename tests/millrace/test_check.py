"""``millrace check``: one page about a run before it is made."""

import json
import re
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
    save_dictionary(
        folder / "s",
        "standard",
        metadata={"l0": 20.5, "prepend_bos": False, "dataset_path": "monology/pile-uncopyrighted"},
    )
    out = {"hook_name_out": "blocks.1.hook_mlp_out"}
    for name in ("transcoder", "skip_transcoder"):
        save_dictionary(folder / name, name, hook="blocks.1.mlp.hook_in", metadata=out)
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


def of_mlp(parts: Path, name: str) -> float:
    """Return the share of variance that a transcoder explains of what the second MLP gives."""
    from sae_lens import SAE
    from transformers import AutoModelForCausalLM

    net: Any = AutoModelForCausalLM.from_pretrained(parts / "m").eval()
    transcoder = SAE.load_from_disk(parts / name).eval()
    seen: list[Any] = []
    net.model.layers[1].mlp.register_forward_hook(lambda _m, given, out: seen.extend((*given, out)))
    with torch.inference_mode():
        net(torch.tensor(WORDS))
        read, written = (value.flatten(0, 1) for value in seen)
        rest = (written - transcoder(read)).square().sum()
        return float(1 - rest / (written - written.mean(0)).square().sum())


def described(page: str, what: str) -> list[str]:
    """Return the keys that a table of the page lists."""
    head = rf"\| {what} \| type \| meaning \|\n\|(?:---\|)+\n"
    (part,) = re.findall(head + r"((?:\|.*\n)+)", page)
    cells = [line.split("|")[1] for line in part.splitlines()]
    return [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]


def test_what_is_measured_is_what_the_libraries_give(parts: Path, program: Program) -> None:
    done = program(
        "check", parts / "docs.jsonl", "--model", parts / "m", "--dictionary", parts / "s",
        "--dictionary", parts / "transcoder", "--dictionary", parts / "skip_transcoder",
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.status == 0, done.lines
    said = json.loads(done.out)
    sae, transcoder, skipping = said["sources"]
    per_token, share = by_hand(parts)
    assert sae["per_token"] == pytest.approx(per_token, rel=1e-3)
    assert sae["explained"] == pytest.approx(share, rel=1e-3)
    assert (sae["hook"], sae["width"], sae["components"]) == (HOOK, 32, 48)
    assert (sae["published"], sae["writes"]) == (20.5, None)
    assert max(sae["encode_gap"], transcoder["encode_gap"]) < 1e-4
    assert transcoder["writes"] == skipping["writes"] == "blocks.1.hook_mlp_out"
    for one, name in ((transcoder, "transcoder"), (skipping, "skip_transcoder")):
        assert one["explained"] == pytest.approx(of_mlp(parts, name), rel=1e-3)
    assert sae["dataset"] == "monology/pile-uncopyrighted"
    assert transcoder["dataset"] is None
    assert 0 <= said["forward_gap"][0] < 1e-5
    assert 0 <= said["micro_batch_gap"] < 1e-4
    assert (said["rows"], said["tokens"], said["bos_id"]) == (6, 72, None)
    assert said["rate"] > 0 < said["memory"]
    assert said["state"] > 3 * 48 * 6 * 28
    assert not list(Path().iterdir()), "nothing is written"
    page = Path(__file__).parents[2].joinpath("docs/formats.md").read_text()
    assert described(page, "check key") == list(said)
    assert described(page, "source key") == list(sae)


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
        "trained on monology/pile-uncopyrighted",
        "of all aggregators together when their tables are full",
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
    from consumers.activations.torch_engine import TorchEngine

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
