"""A store on S3, from the documents to the pages, against moto's server."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

import millrace
from downstream.dashboard.app import make_app
from downstream.dashboard.manifest_sources import PathSource
from downstream.dashboard.watch import SnapshotWatch
from streams.errors import SnapshotFailedError, StoreError
from streams.snapshots.drafts import draft, remove_drafts
from streams.snapshots.failed_manifest import failed_manifest
from streams.snapshots.run_files import find_run_files, remove_run_files
from streams.snapshots.store import open_store, read_manifest, write_manifest
from streams.snapshots.stored_snapshots import find_snapshots
from tests.millrace.conftest import Program

SMALL = ("--device", "cpu", "--k", 4, "--micro-batch", 2)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server of its own."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A bucket, as a file system that is not the program's, and its name."""
    from s3fs import S3FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    type(open_store("s3://a/b").files).clear_instance_cache()
    S3FileSystem.clear_instance_cache()
    files = S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    name = f"b{abs(hash(request.node.name))}"
    files.mkdir(name)
    return files, name


def objects(bucket: Any) -> list[str]:
    files, name = bucket
    return sorted(path.removeprefix(f"{name}/") for path in files.find(name))


async def front_page(final: str) -> str:
    watch = SnapshotWatch(PathSource(final))
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser, browser.get("/") as answer:
        assert answer.status == 200
        return await answer.text()


def test_from_documents_on_s3_to_pages(
    program: Program, disk: Path, tmp_path: Path, broker: str, bucket: Any
) -> None:
    files, name = bucket
    store, text = f"s3://{name}/folder", b'{"text": "w1 w2 w3"}\n{"text": "w4 w5"}\n'
    files.pipe_file(f"{name}/texts/a.jsonl", text)
    (tmp_path / "a.jsonl").write_bytes(text)
    parts = ("--model", disk / "gpt2", "--dictionary", disk / "standard", *SMALL)
    ran = program("run", f"s3://{name}/texts", *parts, "--store", store, "--broker", broker)
    assert ran.status == 0, ran.lines
    final = f"{store}/run/final"
    assert f"{final}/manifest.json" in " ".join([ran.out, *ran.lines])
    here = program(
        "run", tmp_path / "a.jsonl", *parts, "--store", tmp_path / "s", "--broker", f"{broker}-2"
    )
    content = read_manifest(final).content
    assert content == read_manifest(str(tmp_path / "s" / "run" / "final")).content, here.lines
    assert f"content {content}" in program("verify", final).out
    assert not [path for path in objects(bucket) if path.endswith(".tmp")]
    assert [one.manifest for one in find_snapshots(store)] == [f"{final}/manifest.json"]
    opened = millrace.open(store, run="run")
    assert (opened.name, opened.manifest.content) == ("final", content)
    assert "48 features" in asyncio.run(front_page(final))
    named = (*parts, "--store", store, "--run", "run", "--broker", f"{broker}3")
    again = program("run", tmp_path / "a.jsonl", *named)
    assert f"the store {store} has snapshots of an earlier run" in again.refusal()


def test_a_store_that_cannot_be_reached_is_one_line(
    program: Program, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: Any
) -> None:
    text = tmp_path / "t.txt"
    text.write_text("w1 w2")
    parts = ("--model", disk / "gpt2", "--dictionary", disk / "standard", *SMALL)
    said = program("run", text, *parts, "--store", "s3://not-there/folder").refusal()
    assert "cannot write s3://not-there/folder/check-" in said
    assert not bucket[0].exists("not-there"), "no bucket is made"
    assert "no snapshot at s3://not-there/x" in program("verify", "s3://not-there/x").refusal()
    type(open_store("s3://a/b").files).clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    said = program("verify", f"s3://{bucket[1]}/folder").refusal()
    assert "Unable to locate credentials: set AWS_ACCESS_KEY_ID" in said


def test_drafts_are_never_seen_whole(bucket: Any) -> None:
    store = open_store(f"s3://{bucket[1]}/s")

    def full() -> None:
        with draft(store.files, store.path("run", "parts", "x")) as made:
            made.add(b"half")
            raise OSError("full")

    with pytest.raises(StoreError, match=r"cannot write s3://.*/run/parts/x: full"):
        full()
    assert objects(bucket) == []
    with draft(store.files, store.path("run", "parts", "x")) as made:
        made.add(b"whole")
        made.path = store.path("run", "parts", "named")
    assert objects(bucket) == ["s/run/parts/named"]
    left = "run/parts/clusters-0003." + 32 * "a" + ".tmp"
    bucket[0].pipe_file(f"{bucket[1]}/s/{left}", b"of a killed worker")
    assert remove_drafts(store.files, store.path("run"), 3) == [store.path(left)]
    assert objects(bucket) == ["s/run/parts/named"]


def test_failed_manifests_and_deletion(bucket: Any) -> None:
    store = open_store(f"s3://{bucket[1]}/s")
    failed = failed_manifest("run", "a" * 32, "final", "every batch was refused", "2026-01-01")
    write_manifest(store, failed)
    with pytest.raises(SnapshotFailedError, match="every batch was refused"):
        read_manifest(f"s3://{bucket[1]}/s/run/final")
    bucket[0].pipe_file(f"{bucket[1]}/s/run/notes.md", b"mine")
    found = find_run_files(store, "run", "a" * 32, ())
    assert found.owned == ("final/manifest.json",)
    remove_run_files(store, found)
    assert objects(bucket) == ["s/run/notes.md"]
