"""Labels at the command line: attached, shown, refused in one line."""

import millrace
from tests.downstream.dashboard.snapshot_files import small, write_snapshot


def test_local_labels_are_attached(program, tmp_path):
    write_snapshot(str(tmp_path), small())
    ended = program("label", str(tmp_path), "--local")
    assert (ended.status, ended.lines) == (0, [])
    said = ended.out.splitlines()
    assert said[0] == "labels/local: 8 labels"
    assert len(said) == 3
    table = millrace.open(str(tmp_path)).attachment("labels", "local")["labels"]
    assert table.to_pylist()[0]["label"].startswith("the")


def test_a_snapshot_that_is_not_final_is_refused(program, tmp_path):
    write_snapshot(str(tmp_path), small(), snapshot="so-far", final=False)
    ended = program("label", str(tmp_path / "demo" / "so-far"), "--local")
    assert ended.status == 2
    assert "is not final" in ended.lines[0]
