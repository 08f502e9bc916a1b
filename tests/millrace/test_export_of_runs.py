"""Exports of a run of narrow weights: a bfloat16 dictionary, a transcoder, tied embeddings."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import millrace
from downstream.exporters.exporting import export
from downstream.exporters.registry import EXPORTERS
from tests.downstream.exporters.decoded import decoded
from tests.millrace.conftest import Program
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary, save_model

TEXTS = [" ".join(f"w{(7 * d + 3 * p) % 60}" for p in range(12)) for d in range(8)]
CHOICES: dict[str, dict[str, Any]] = {
    "spd": {"clustering": "features/sae"},
    "csv": {"table": "hits"},
    "jsonl": {"table": "hits"},
    "html": {"features": "0-3"},
}
WEIGHTS = "sae_weights.safetensors"


def narrowed(folder: Path) -> Path:
    """Make a dictionary's weights bfloat16, as files are shipped."""
    weights = load_file(folder / WEIGHTS)
    save_file({name: one.bfloat16() for name, one in weights.items()}, folder / WEIGHTS)
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    return folder


def test_every_format_is_written_of_narrow_and_tied_weights(
    program: Program, tmp_path: Path
) -> None:
    model = save_model(tmp_path / "tied", "llama", tie_word_embeddings=True)
    narrow = narrowed(save_dictionary(tmp_path / "narrow", "standard"))
    transcoder = save_dictionary(
        tmp_path / "transcoder",
        "transcoder",
        hook="blocks.1.mlp.hook_in",
        metadata={"hook_name_out": "blocks.1.hook_mlp_out"},
    )
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    done = program(
        "run", tmp_path / "docs.jsonl", "--model", model, "--dictionary", narrow, "--dictionary",
        transcoder, "--context", CONTEXT, "--store", "kept", "--device", "cpu", "--k", 3,
    )  # fmt: skip
    assert done.status == 0, done.lines
    derived = program("derive", "logit_lens", "kept")
    assert derived.status == 0, derived.lines
    snapshot = millrace.open("kept")
    maxima = snapshot.features.to_pandas().set_index(["source", "index"])["max_activation"]
    assert (maxima > 0).any()
    for exporter in EXPORTERS:
        choices = CHOICES.get(exporter.name, {})
        named = [option for option in exporter.options if option.name == "source"]
        for source in ("sae", "sae-2") if named else ("",):
            out = Path(f"{exporter.name}-{source}")
            given = {one.name: (source,) if one.many else source for one in named}
            export(exporter, snapshot, out, choices | given)
            files = decoded(out)
            assert files
            assert "NaN" not in json.dumps(files, default=repr)
            if out.name == "neuronpedia-sae":
                _expect_lens(files, narrow, model)
            if exporter.name == "jsonl":
                rows = files["."]
                assert max(json.loads(row)["score"] for row in rows) == maxima.max()


def _expect_lens(files: dict[str, Any], dictionary: Path, model: Path) -> None:
    """Check each feature's largest logits against the product of the files' own weights."""
    decoder = load_file(dictionary / WEIGHTS)["W_dec"].float()
    weights = load_file(model / "model.safetensors")
    assert "lm_head.weight" not in weights  # they are tied
    logits = decoder @ weights["model.embed_tokens.weight"].float().T
    known = logits[:, : WORDS + 2].sort(dim=1, descending=True).values
    rows = [row for name, found in files.items() if "/features/" in name for row in found]
    assert len(rows) == len(decoder)
    for row in rows:
        expected = known[int(row["index"]), : len(row["pos_values"])].tolist()
        assert row["pos_values"] == pytest.approx(expected, abs=1e-3)
