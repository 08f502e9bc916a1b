"""Files that are being written, and what a killed process leaves of them."""

import uuid
from pathlib import Path

import fsspec
import pytest

from streams.errors import StoreError
from streams.snapshots.drafts import draft, remove_drafts

LOCAL = fsspec.filesystem("file")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


def left(run: Path, name: str) -> Path:
    """Return a draft that a killed process left."""
    return touch(run / f"{name}.{uuid.uuid4().hex}.tmp")


def test_the_drafts_of_one_shard_are_removed_and_nothing_else(tmp_path: Path):
    run = tmp_path / "runs [1]" / "prose"
    ours = [left(run, "parts/hits-0001"), left(run, "parts/member_coactivation-0001")]
    others = [
        left(run, "parts/hits-0000"),
        left(run, "parts/hits-0011"),
        left(run, "noon/manifest.json"),
        left(run.parent / "prose-2", "parts/hits-0001"),
        touch(run / "parts" / "hits-0001-0123456789abcdef.parquet"),
        touch(run / "parts" / "hits-0001.notes.tmp"),
    ]
    assert sorted(remove_drafts(LOCAL, str(run), 1)) == sorted(map(str, ours))
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)


def test_the_owner_of_shard_0_removes_drafts_of_manifests_too(tmp_path: Path):
    run = tmp_path / "prose"
    ours = [left(run, "final/manifest.json"), left(run, "parts/totals-0000")]
    manifest = touch(run / "final" / "manifest.json")
    remove_drafts(LOCAL, str(run), 0)
    assert not any(path.exists() for path in ours)
    assert manifest.exists()


def test_a_run_that_has_written_nothing_has_no_drafts(tmp_path: Path):
    assert remove_drafts(LOCAL, str(tmp_path / "nothing"), 0) == []


def test_a_store_in_memory_is_cleaned_like_a_folder():
    files = fsspec.filesystem("memory")
    path = f"/drafts/prose/parts/hits-0002.{uuid.uuid4().hex}.tmp"
    files.pipe(path, b"half")
    assert remove_drafts(files, "/drafts/prose", 2) == [path]
    assert not files.exists(path)


def test_who_still_writes_a_removed_draft_notices_and_can_write_again(tmp_path: Path):
    path = tmp_path / "prose" / "parts" / "hits-0001"

    def write_while_the_next_owner_cleans() -> None:
        with draft(LOCAL, str(path)) as made:
            made.add(b"one")
            assert remove_drafts(LOCAL, str(tmp_path / "prose"), 1)

    with pytest.raises(StoreError, match="cannot write"):
        write_while_the_next_owner_cleans()
    assert list(path.parent.iterdir()) == []
    with draft(LOCAL, str(path)) as made:
        made.add(b"two")
    assert path.read_bytes() == b"two"
