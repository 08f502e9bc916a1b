"""Reports say what was measured, on what, and by which command."""

import json

from benchmarks.machine import command, machine, peak_memory, versions
from benchmarks.report import markdown, markdown_table, write_report
from benchmarks.timing import Spread


def test_a_report_is_json_and_markdown_with_machine_and_versions(tmp_path):
    rows = [{"way": "ours", "ms": Spread((1.0, 2.0, 4.0))}, {"way": "theirs", "ratio": 12345.6}]
    path = write_report("some", rows, notes=["A note."], tables={"More": rows}, folder=tmp_path)
    found = json.loads(path.read_text())
    assert path == tmp_path / "some.json"
    assert found["rows"][0]["ms"] == {"median": 2.0, "low": 1.0, "high": 4.0, "rounds": [1, 2, 4]}
    assert found["machine"] == machine()
    assert found["versions"] == versions()
    assert found["command"] == command()
    shown = (tmp_path / "some.md").read_text()
    assert shown == markdown(found)
    assert "| ours | 2 (1 .. 4) |  |" in shown
    assert "| theirs |  | 12,346 |" in shown
    assert "## More" in shown
    assert "- A note." in shown
    assert found["machine"]["processor"] in shown
    assert found["versions"]["torch"] in shown


def test_a_report_of_another_program_needs_the_main_things_only():
    given = {"name": "x", "machine": {}, "versions": {}, "command": "c", "rows": [{"a": 1}]}
    assert "| 1 |" in markdown(given)


def test_a_table_shows_small_and_large_numbers_text_and_bars():
    rows = [{"a": 0.0123456, "b": 3, "c": "x|y", "d": True}]
    assert markdown_table(rows).splitlines()[2] == "| 0.0123 | 3 | x\\|y | True |"
    assert markdown_table([]) == ""


def test_the_machine_is_described():
    found = machine()
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert found["processor"]
    assert peak_memory() > 10 * 2**20
