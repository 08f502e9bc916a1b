"""The benchmark of GPUs on a processor, as ``make bench-gpu`` runs it there."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu import main
from benchmarks.gpu_runs import NUMBERS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_tiny_form_measures_all_but_kafka(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    whats = [(row["what"], row["numbers"]) for row in found["rows"]]
    assert whats[:3] == [("service", each.name) for each in NUMBERS]
    assert {what for what, _ in whats[3:]} == {
        "selection on the device",
        "selection on the host",
        "what a run has by default",
        "2 hooks",
        "1,024 features",
    }
    for row in found["rows"]:
        assert 0 < row["tokens/s"] <= row["tokens/s without the tail"]
    ratios = {row["ratio"]: row for row in found["tables"]["Ratios"]}
    for each in NUMBERS:
        ratio = ratios[f"{each.name}: service / bare model"]
        assert ratio["met"] == ("yes" if ratio["measured"] >= each.goal else "no")
    assert len(ratios) == 3 * 2 + 1 + 1 + 1 + 2 * 2
    assert {row["way"] for row in found["tables"]["Storing a batch from the device"]} == {
        "R0", "R1", "R2", "ours: blocks",
    }  # fmt: skip
    (extraction,) = (rows for name, rows in found["tables"].items() if "Extraction" in name)
    assert len(extraction) == 1 + len(NUMBERS)
    text = (tmp_path / "gpu.md").read_text()
    assert "device: cpu" in text
    assert "left out: Kafka: not in the tiny form" in text
    assert "bfloat16: service / bare model" in capsys.readouterr().out
