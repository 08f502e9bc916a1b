"""Manifests that anybody may have written: nothing is made, opened or read outside the store."""

import json
import os

import pytest

from consumers.snapshots.assembly import assemble_ready
from consumers.snapshots.snapshots import publish
from downstream.dashboard.manifest_sources import TopicSource
from downstream.dashboard.watch import SnapshotWatch
from streams import topics
from streams.errors import SnapshotError
from streams.snapshots.manifests import (
    VERSION,
    ShardManifest,
    run_manifest,
    shard_manifest,
    to_json,
)
from streams.snapshots.store import open_store, read_manifest, write_part
from streams.snapshots.table_reading import read_table
from streams.transport.connect import connect
from tests import factories
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.golden import version_2
from tests.streams.snapshots.test_store import TABLE

UP = ["../../up", "..", ".", "/abs", "a/b", "", "A", "nul", "con", "a\0b", "a\nb", "é", "a" * 81,
      "a.b", "\u202ea", "file:///x", "a::b"]  # fmt: skip
PATHS = [
    "../x.parquet",
    "parts/../../x.parquet",
    "/etc/passwd",
    "parts//x",
    "parts/.hidden",
    "parts\\x",
    "memory://x",
    "zip://x::file:///y",
    "parts/nul.parquet",
    "parts/x\0",
    "parts/x.",
    "~/x",
    "p" * 300,
    "/".join("p" * 9),
]


def changed(manifest, **changes):
    """Return the JSON of a manifest with changes that its class would not take."""
    found = json.loads(to_json(manifest))
    for key, value in changes.items():
        target = found
        *way, last = key.split("__")
        for part in way:
            target = target[int(part) if part.isdigit() else part]
        target[last] = value
    return json.dumps(found).encode()


MANIFESTS = version_2.manifests()
RUN, SHARD = MANIFESTS["run-manifest"], MANIFESTS["shard-manifest"]


@pytest.mark.parametrize("name", UP)
@pytest.mark.parametrize("field", ["run", "snapshot", "files__0__table"])
def test_names_are_names(field, name):
    for reader, manifest in ((run_manifest, RUN), (shard_manifest, SHARD)):
        with pytest.raises(SnapshotError, match=r"unreadable .* manifest: ") as info:
            reader(changed(manifest, **{field: name}))
        assert "\n" not in str(info.value)


@pytest.mark.parametrize("path", PATHS)
def test_paths_stay_in_the_folder_of_the_run(path):
    for reader, manifest in ((run_manifest, RUN), (shard_manifest, SHARD)):
        with pytest.raises(SnapshotError, match="no path of a file inside its folder"):
            reader(changed(manifest, files__0__path=path))


@pytest.mark.parametrize(
    "changes",
    [
        {"files__0__rows": -1},
        {"files__0__bytes": 2**70},
        {"files__0__sha256": "x"},
        {"files__0__rows": "12"},
        {"chains": [[-2]]},
        {"chains": [[0] * 5000]},
        {"created": "x" * 2000},
        {"store": "x" * 5000},
        {"about": {"sum_bits": 10**9}},
        {"about": {"k": 0}},
        {"about": {"edges": [1.0, 1.0]}},
        {"about": {"edges": []}},
        {"about": {"edges": [0.1] * 5000}},
        {"about": {"criteria": []}},
        {"about": {"rankings": {}}},
        {"about": {"sources": [{}]}},
        {"about": {"clusterings": "x"}},
    ],
    ids=str,
)
def test_numbers_and_lists_are_bounded(changes):
    with pytest.raises(SnapshotError, match="unreadable run manifest: "):
        run_manifest(changed(RUN, **changes))


@pytest.mark.parametrize(
    "address",
    [
        "zip://x::file:///tmp/y.zip",
        "simplecache::s3://bucket/x",
        "/tmp/a::b",
        "http://localhost/x",
        "https://localhost/x",
        "github://a/x",
        "ssh://localhost/x",
        "reference://x",
        "jupyter://localhost",
        "data://x",
        "/tmp/\0",
        "/tmp/\n",
        "/" + "x" * 5000,
    ],
)
def test_only_plain_stores_are_opened(address):
    with pytest.raises(SnapshotError, match="cannot be opened") as info:
        open_store(address)
    assert len(str(info.value)) < 300


@pytest.mark.parametrize("part", ["..", "../x", "/etc", "a/../b", "", "a//b", "a\0", ".x", "nul"])
def test_a_store_gives_no_path_outside_itself(tmp_path, part):
    store = open_store(str(tmp_path))
    for parts in ((part,), ("run", part), (part, "run")):
        with pytest.raises(SnapshotError, match="is no path inside the store"):
            store.path(*parts)


def test_links_in_a_store_are_neither_followed_nor_written_through(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    part = write_part(open_store(str(outside)), "prose", "totals", 0, TABLE)
    manifest = factories.run_manifest(store=str(root), files=(part,))
    (root / "prose").symlink_to(outside / "prose")
    with pytest.raises(SnapshotError, match="leads out of the store"):
        read_table(manifest, "totals")
    with pytest.raises(SnapshotError, match="leads out of the store"):
        write_part(open_store(str(root)), "prose", "totals", 1, TABLE)
    (root / "prose").unlink()
    (root / "prose" / "parts").mkdir(parents=True)
    (root / "prose" / part.path).symlink_to(outside / "prose" / part.path)
    with pytest.raises(SnapshotError, match="it is a link"):
        read_table(manifest, "totals")
    (root / "prose" / part.path).unlink()
    os.mkfifo(root / "prose" / part.path)
    with pytest.raises(SnapshotError, match="device, pipe or socket"):
        read_table(manifest, "totals")


def forged(plan, **changes):
    given = {
        "version": VERSION,
        "run": plan.run.name,
        "run_id": plan.id,
        "snapshot": "noon",
        "shard": 0,
        "complete": False,
        "chain": (0, 0),
        "tokens": 0,
        "rows": 0,
        "refused": 0,
        "files": (),
    }
    return ShardManifest(**{**given, **changes})


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("test/noon", {"snapshot": "../../chosen"}),
        ("test/noon", {"snapshot": "/chosen"}),
        ("test/noon", {"snapshot": "other"}),
        ("test/noon", {"run": "other"}),
        ("test/../chosen", {"snapshot": "../chosen"}),
    ],
)
def test_a_forged_shard_manifest_makes_no_folder(tmp_path, key, changes):
    store = tmp_path / "in" / "store"
    plan = factories.plan(shards=1, store=str(store))
    client = connect(f"memory://forged-{tmp_path.name}")
    client.create_topics(topics.SHARED)
    publish(client, f"{key}/0", to_json(forged(plan, **changes)))
    assert not assemble_ready(plan, client, 1.0).made
    assert not list(tmp_path.iterdir())


def test_the_dashboard_passes_over_manifests_under_other_keys(tmp_path):
    client = connect(f"memory://keys-{tmp_path.name}")
    client.create_topics(topics.SHARED)
    written = write_snapshot(str(tmp_path), small())
    publish(client, f"other/{written.snapshot}", to_json(written))
    publish(client, "demo/later", changed(written, snapshot="../later"))
    watch = SnapshotWatch(TopicSource(client))
    watch.look()
    assert watch.shelf.looked
    assert not watch.shelf.snapshots
    publish(client, f"demo/{written.snapshot}", to_json(written))
    watch.look()
    assert list(watch.shelf.snapshots) == ["demo"]


def test_a_manifest_that_is_no_file_ends_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "again").symlink_to(tmp_path / "inner")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "manifest.json")
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(2**40)
    names = ["pipe", "link", "round", "inner/again/again", "folder", "big", "x\0", "\n", "a" * 300]
    for place in ["/dev/zero", "/dev/stdin", "/proc/self/mem", *(tmp_path / n for n in names)]:
        with pytest.raises(SnapshotError) as info:
            read_manifest(str(place))
        assert "\n" not in str(info.value)
