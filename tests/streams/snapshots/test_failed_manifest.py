"""Failed manifests: what stands in the place of a snapshot that cannot be made."""

from pathlib import Path

import pytest

from streams.errors import SnapshotError, SnapshotFailedError
from streams.snapshots.failed_manifest import FailedManifest, failed_manifest, find_failed
from streams.snapshots.manifests import run_manifest, to_json
from streams.snapshots.store import open_store, read_manifest, write_manifest

FAILED = failed_manifest("demo", "1f", "noon", "no room", "2031-01-01T00:00:00+00:00")


def test_it_is_read_as_it_was_written():
    assert find_failed(to_json(FAILED)) == FAILED


@pytest.mark.parametrize("data", [b"", b"{}", b"junk", b'{"failed": "why"}'])
def test_anything_else_is_none(data: bytes):
    assert find_failed(data) is None


def test_whoever_reads_it_as_a_snapshot_is_told_why():
    with pytest.raises(SnapshotFailedError, match="snapshot noon of run demo failed: no room"):
        run_manifest(to_json(FAILED))


def test_what_is_neither_is_unreadable_and_not_failed():
    with pytest.raises(SnapshotError, match="unreadable run manifest"):
        run_manifest(b"{}")


def test_it_stands_in_the_store_where_the_run_manifest_would(tmp_path: Path):
    path = write_manifest(open_store(str(tmp_path)), FAILED)
    assert path == str(tmp_path / "demo" / "noon" / "manifest.json")
    with pytest.raises(SnapshotFailedError, match="no room"):
        read_manifest(str(tmp_path / "demo" / "noon"))


def test_its_cause_is_one_line_of_bounded_length():
    made: FailedManifest = failed_manifest("demo", "1f", "noon", "a\nb\x1b[2J" + "c" * 5000, "")
    assert made.failed.isprintable()
    assert len(made.failed) == 1000
