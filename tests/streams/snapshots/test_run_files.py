import os

from streams.snapshots.annotations import write_annotation
from streams.snapshots.run_files import find_run_files, remove_run_files
from streams.snapshots.store import open_store
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.streams.snapshots.test_annotations import note
from tests.streams.snapshots.test_attachments import attach


def test_attachments_go_with_their_run_and_what_people_wrote_stays(tmp_path):
    manifest = write_snapshot(str(tmp_path), small())
    attach(manifest)
    store = open_store(str(tmp_path))
    written = write_annotation(store, note())
    beside = tmp_path / "demo" / "attachments" / "readme.txt"
    beside.write_text("mine")
    found = find_run_files(store, "demo", manifest.run_id, ())
    assert [path.partition("/")[0] for path in found.others] == ["annotations", "attachments"]
    remove_run_files(store, found)
    left = {str(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {written, str(beside)}
    assert not (beside.parent / manifest.content).exists()


def test_a_manifest_that_is_too_large_or_no_file_is_read_no_further_and_stays(tmp_path):
    manifest = write_snapshot(str(tmp_path), small())
    store = open_store(str(tmp_path))
    endless, pipe = (tmp_path / "demo" / name / "manifest.json" for name in ("endless", "pipe"))
    for path in (endless, pipe):
        path.parent.mkdir()
    with endless.open("wb") as file:
        file.truncate(2**40)
    os.mkfifo(pipe)
    found = find_run_files(store, "demo", manifest.run_id, ())
    assert "final/manifest.json" in found.owned
    remove_run_files(store, found)
    assert not (tmp_path / "demo" / "final").exists()
