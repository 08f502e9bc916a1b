"""What a run has when nobody chose: counted like the rest, said before, left out when asked."""

import json
from pathlib import Path

import pytest

import millrace
from tests.millrace.conftest import Program
from tests.millrace.test_run import oracle_content, snapshot_of
from tests.models_on_disk import WORDS

DEFAULT = (
    "tokens", "domains", "row_maximum", "peak_position", "position", "place", "distribution",
    "health", "random", "intervals", "shared",
)  # fmt: skip


def test_a_run_has_all_that_costs_little(
    program: Program, disk: Path, tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLRACE_RUN__WITHOUT")
    text = tmp_path / "text.jsonl"
    words = [f"w{number % WORDS}" for number in range(480)]
    documents = [
        {"text": " ".join(words[n : n + 40]), "kind": f"kind {n % 3}"} for n in range(0, 480, 40)
    ]
    text.write_text("\n".join(map(json.dumps, documents)))
    given = (
        text, "--domain-field", "kind", "--broker", broker, "--store", tmp_path / "store",
        "--model", disk / "gpt2", "--dictionary", disk / "topk", "--device", "cpu", "--k", 4,
        "--batch-size", 8, "--micro-batch", 8, "--partitions", 2,
    )  # fmt: skip
    ended = program("run", *given, "--run", "usual")
    manifest = snapshot_of(ended)
    assert manifest.content == oracle_content(broker, "usual")
    (said,) = (line for line in ended.lines if "MB of state" in line)
    assert f"{', '.join(DEFAULT)}: at most" in said
    assert "bytes a token on the bus" in said
    final = millrace.open(str(tmp_path / "store"), run="usual")
    fired = final.features["firing_tokens"].to_pylist()
    active = fired.index(max(fired))
    feature = final.feature(f"sae:{active}")
    assert feature.tokens(3)
    assert feature.coactivation(3)
    assert {example.ranking for example in feature.examples(ranking="intervals")} == {"intervals"}


def test_check_says_what_each_number_costs(
    program: Program, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_RUN__WITHOUT", '["health", "shared"]')
    parts = ("--model", disk / "gpt2", "--dictionary", disk / "topk", "--device", "cpu")
    ended = program("check", *parts)
    assert ended.status == 0, ended.lines
    costs = [line.split()[2] for line in ended.out.splitlines() if line.startswith("of it ")]
    assert costs == [f"{name}:" for name in DEFAULT if name not in ("health", "shared")]
