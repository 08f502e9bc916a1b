"""The benchmark of one run against its parts, in its tiny form."""

import json

import pytest

from benchmarks import one_pass


@pytest.mark.filterwarnings("ignore")
def test_a_quick_run_has_every_size_and_part(tmp_path, capsys):
    one_pass.main(quick=True, folder=tmp_path, parts=tmp_path / "parts")
    report = json.loads((tmp_path / "one_pass.json").read_text())
    assert [row["rows a batch"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert all(each["median"] > 0 for each in row.values() if isinstance(each, dict))
    parts = [row["part"] for row in report["tables"]["Parts"]]
    assert parts == ["dashboard data", "noise_robustness", "hook_values", "health"]
    assert "one run with everything" in capsys.readouterr().out
