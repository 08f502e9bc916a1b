"""Correlated neurons of a run over a model and a dictionary, at the command line."""

import json
from pathlib import Path

import numpy as np

import millrace
from tests.millrace.conftest import Program
from tests.millrace.test_run import snapshot_of
from tests.models_on_disk import WORDS


def test_neurons_of_a_run_correlate_with_its_features(
    program: Program, disk: Path, tmp_path: Path, broker: str
) -> None:
    text, settings = tmp_path / "text.jsonl", tmp_path / "millrace.toml"
    words = [f"w{(number * 7) % WORDS}" for number in range(480)]
    documents = [{"text": " ".join(words[n : n + 40])} for n in range(0, 480, 40)]
    text.write_text("\n".join(map(json.dumps, documents)))
    settings.write_text(f"""
[model]
path = {str(disk / "gpt2")!r}

[[dictionaries]]
name = "sae"
path = {str(disk / "topk")!r}

[[neurons]]
name = "mlp"
hook = "blocks.0.mlp.hook_post"
""")
    given = (
        text, "--settings", settings, "--broker", broker, "--store", tmp_path / "store",
        "--device", "cpu", "--batch-size", 8, "--micro-batch", 8, "--run", "neurons",
        "--ranking", "maximum", "--ranking", "shared=100",
    )  # fmt: skip
    manifest = snapshot_of(program("run", *given))
    ended = program("derive", "correlated_neurons", manifest.store, "--run", "neurons")
    assert ended.status == 0, ended.lines
    opened = millrace.open(manifest.store, run="neurons")
    rows = opened.attachment("correlated_neurons")["correlated_neurons"].to_pylist()
    assert {(row["source"], row["neuron_source"]) for row in rows} == {("sae", "mlp")}
    pearson = np.array([row["pearson"] for row in rows])
    assert (np.abs(pearson) <= 1 + 1e-9).all()
    first = [row for row in rows if row["rank"] == 0]
    assert len(first) == len({row["feature"] for row in rows})
    assert all(row["exact"] and row["pearson_error"] == 0 for row in rows)
