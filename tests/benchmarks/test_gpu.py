"""The benchmark of GPUs on a processor, as ``make bench-gpu`` runs it there."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu import main


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_tiny_form_measures_both_paths_with_one_content(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {(row["dtype"], row["selection on"]) for row in rows} == {
        (dtype, where) for dtype in ("bfloat16", "float32") for where in ("device", "host")
    }
    for row in rows:
        assert row["times bare"] == pytest.approx(row["tokens/s"] / row["bare tokens/s"])
        assert row["tokens/s"] > 0
    assert "device: cpu" in (tmp_path / "gpu.md").read_text()
