"""Following snapshots."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from downstream.dashboard.manifest_sources import PathSource, TopicSource
from downstream.dashboard.watch import SnapshotWatch, preference
from streams.errors import BrokerError, SnapshotError
from streams.snapshots.failed_manifest import failed_manifest
from streams.snapshots.manifests import RunManifest, to_json
from streams.transport.client import Client, StoredRecord
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot


class Topic:
    """The snapshots topic as a list of records, in place of a broker."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self.reads: list[int] = []

    def put(self, key: str, value: bytes | None) -> None:
        at = len(self.records)
        self.records.append(StoredRecord("snapshots", 0, at, 0, key.encode(), value))

    def topics(self) -> Mapping[str, int]:
        return {"snapshots": 1}

    def ends(self, topic: str) -> Mapping[int, int]:
        return {0: len(self.records)}

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[StoredRecord]:
        self.reads.append(start)
        yield from self.records[start:stop]


def source_of(topic: Topic) -> TopicSource:
    return TopicSource(cast("Client", topic))


def shown(watch: SnapshotWatch) -> dict[str, str]:
    watch.look()
    return {run: s.manifest.snapshot for run, s in watch.shelf.snapshots.items()}


def interim(folder: Path, given: Given, name: str, created: str) -> RunManifest:
    return write_snapshot(str(folder), given, snapshot=name, created=created, final=False)


def test_a_final_snapshot_wins_then_the_newest(manifest: RunManifest) -> None:
    late = replace(manifest, final=False, created="2099-01-01T00:00:00+00:00")
    later = replace(manifest, created="2032-01-01T00:00:00+00:00")
    assert sorted([manifest, late, later], key=preference) == [late, manifest, later]


def test_the_topic_is_read_once(tmp_path: Path, given: Given) -> None:
    topic = Topic()
    watch = SnapshotWatch(source_of(topic))
    assert shown(watch) == {}
    first = interim(tmp_path, given, "one", "2031-01-01T00:00:00+00:00")
    topic.put("demo/one/0", b"a shard's manifest is passed over")
    topic.put("demo/one", to_json(first))
    assert shown(watch) == {"demo": "one"}
    opened = watch.shelf.snapshots["demo"]
    assert shown(watch) == {"demo": "one"}
    assert watch.shelf.snapshots["demo"] is opened
    second = interim(tmp_path, given, "two", "2031-01-02T00:00:00+00:00")
    topic.put("demo/two", to_json(second))
    assert shown(watch) == {"demo": "two"}
    assert topic.reads == [0, 2]


def test_a_deleted_run_goes(manifest: RunManifest) -> None:
    topic = Topic()
    topic.put("demo/final", to_json(manifest))
    watch = SnapshotWatch(source_of(topic))
    assert shown(watch) == {"demo": "final"}
    topic.put("demo/final", None)
    assert shown(watch) == {}


def test_a_topic_that_was_made_anew_is_read_anew(manifest: RunManifest) -> None:
    topic = Topic()
    topic.put("demo/old", to_json(manifest))
    topic.put("junk/", b"{")
    source = source_of(topic)
    assert len(source()) == 1
    topic.records.clear()
    assert source() == []


def test_a_damaged_snapshot_is_reported_and_the_old_one_stays(tmp_path: Path, given: Given) -> None:
    topic = Topic()
    first = interim(tmp_path / "a", given, "one", "2031-01-01T00:00:00+00:00")
    second = interim(tmp_path / "b", given, "two", "2031-01-02T00:00:00+00:00")
    topic.put("demo/one", to_json(first))
    watch = SnapshotWatch(source_of(topic))
    assert shown(watch) == {"demo": "one"}
    part = tmp_path / "b" / "demo" / next(f.path for f in second.files if f.table == "hits")
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    topic.put("demo/two", to_json(second))
    for _ in range(3):
        assert shown(watch) == {"demo": "one"}
        assert "two is not shown" in watch.shelf.problems["demo"]
        assert "damaged" in watch.shelf.problems["demo"]


def test_beside_a_damaged_snapshot_an_older_one_opens(tmp_path: Path, given: Given) -> None:
    first = interim(tmp_path, given, "one", "2031-01-01T00:00:00+00:00")
    second = replace(first, snapshot="two", created="2031-01-02T00:00:00+00:00", about={})
    watch = SnapshotWatch(lambda: [first, second])
    assert shown(watch) == {"demo": "one"}
    assert "lacks about.model" in watch.shelf.problems["demo"]


def test_a_broker_that_is_away_is_reported(manifest: RunManifest) -> None:
    answers: list[Any] = [[manifest], BrokerError("nobody answers"), [manifest]]

    def source() -> list[RunManifest]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast("list[RunManifest]", answer)

    watch = SnapshotWatch(source)
    assert shown(watch) == {"demo": "final"}
    assert shown(watch) == {"demo": "final"}
    assert watch.shelf.problems == {"": "nobody answers"}
    assert shown(watch) == {"demo": "final"}
    assert watch.shelf.problems == {}


def test_a_moved_snapshot_is_found_by_its_path(tmp_path: Path, given: Given) -> None:
    written = write_snapshot(str(tmp_path / "here"), given)
    (tmp_path / "here").rename(tmp_path / "there")
    watch = SnapshotWatch(PathSource(str(tmp_path / "there" / "demo" / "final" / "manifest.json")))
    assert shown(watch) == {"demo": "final"}
    assert watch.shelf.snapshots["demo"].manifest.content == written.content


def test_a_path_without_a_snapshot_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="no snapshot at"):
        PathSource(str(tmp_path / "nothing"))()


def test_a_failed_run_is_a_problem_beside_what_is_shown(tmp_path: Path, given: Given) -> None:
    topic = Topic()
    watch = SnapshotWatch(source_of(topic))
    topic.put("demo/one", to_json(interim(tmp_path, given, "one", "2031-01-01T00:00:00+00:00")))
    failed = failed_manifest("demo", "1f", "final", "no text left", "2031-01-02T00:00:00+00:00")
    topic.put("demo/final", to_json(failed))
    assert shown(watch) == {"demo": "one"}
    problem = "snapshot final of run demo failed: no text left"
    assert watch.shelf.problems == {"demo": problem}
    topic.put("demo/one", None)
    shown(watch)
    assert watch.shelf.problems == {"demo": problem}


def test_a_snapshot_that_was_given_up_is_a_problem_until_a_newer_one_is_there(
    tmp_path: Path, given: Given
) -> None:
    topic = Topic()
    watch = SnapshotWatch(source_of(topic))
    failed = failed_manifest("demo", "1f", "noon", "lost", "2031-01-02T00:00:00+00:00")
    topic.put("demo/noon", to_json(failed))
    assert shown(watch) == {}
    assert list(watch.shelf.problems) == ["demo"]
    topic.put("demo/one", to_json(interim(tmp_path, given, "one", "2031-01-03T00:00:00+00:00")))
    assert shown(watch) == {"demo": "one"}
    assert watch.shelf.problems == {}


def test_a_final_snapshot_that_lacks_too_much_is_shown_and_says_so(manifest: RunManifest) -> None:
    topic = Topic()
    watch = SnapshotWatch(source_of(topic))
    topic.put("demo/final", to_json(replace(manifest, excess_refusals="3 of 8 were refused")))
    assert shown(watch) == {"demo": "final"}
    assert watch.shelf.problems == {"demo": "3 of 8 were refused"}
