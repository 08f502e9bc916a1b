"""Pages through HTTP."""

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from downstream.dashboard.addresses import cluster_address
from downstream.dashboard.app import make_app, serve
from downstream.dashboard.watch import PathSource, SnapshotWatch
from streams.errors import SettingsError, SnapshotError, UserError
from streams.snapshots.manifests import RefusedRecord, RunManifest
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot

Browser = TestClient[Any, Any]


@asynccontextmanager
async def browser_of(watch: SnapshotWatch) -> AsyncIterator[Browser]:
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        yield browser


@pytest_asyncio.fixture
async def browser(manifest: RunManifest) -> AsyncIterator[Browser]:
    async with browser_of(SnapshotWatch(lambda: [manifest], interval=60)) as each:
        yield each


async def fetched(browser: Browser, address: str) -> tuple[int, str]:
    async with browser.get(URL(address, encoded=True)) as answer:
        return answer.status, await answer.text()


@pytest.mark.asyncio
async def test_the_only_run_is_shown_at_once(browser: Browser) -> None:
    status, html = await fetched(browser, "/")
    assert status == 200
    assert "5 features" in html
    assert "never fired" in html
    assert 'href="/runs/demo/features/sae/2"' in html


@pytest.mark.asyncio
async def test_every_cluster_has_a_page_and_json(browser: Browser, given: Given) -> None:
    for clustering, label, _ in given.clusters:
        address = cluster_address("demo", clustering, 0, label)
        assert (await fetched(browser, address))[0] == 200
        status, text = await fetched(browser, f"{address}?format=json")
        assert status == 200
        assert json.loads(text)["cluster"]["label"] == label


@pytest.mark.asyncio
async def test_every_link_of_every_page_leads_somewhere(browser: Browser) -> None:
    seen, waiting = set(), ["/"]
    while waiting:
        address = waiting.pop()
        status, html = await fetched(browser, address)
        assert status == 200, address
        for link in re.findall(r'(?:href|src)="(/[^"#]*)"', html):
            plain = link.replace("&amp;", "&")
            if plain not in seen:
                seen.add(plain)
                waiting.append(plain)
    assert len(seen) > 20


@pytest.mark.asyncio
async def test_hostile_text_stays_text(browser: Browser) -> None:
    for label in ("<script>alert(3)</script>", "both"):
        _, html = await fetched(browser, cluster_address("demo", "odd", 0, label))
        scripts = re.findall(r"<script[^>]*>", html)
        assert scripts == ['<script src="/static/page.js" defer>']
        assert "<b>bold" not in html
        assert "\u202e" not in html
    _, html = await fetched(browser, "/runs/demo/odd/?q=%22%3E%3Cscript%3E")
    assert "<script>" not in html
    assert 'value="&#34;&gt;&lt;script&gt;"' in html


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "address",
    [
        "/runs/nobody/",
        "/runs/demo/nothing/",
        "/runs/demo/odd/?iteration=2",
        "/runs/demo/odd/?iteration=x",
        "/runs/demo/features/sae/99",
        "/runs/%3Cscript%3E/",
        "/components/demo/nobody",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/elsewhere",
    ],
)
async def test_unknown_addresses_are_not_found(browser: Browser, address: str) -> None:
    status, html = await fetched(browser, address)
    assert status == 404
    assert "Nothing here" in html
    assert "<script>" not in html


@pytest.mark.asyncio
@pytest.mark.parametrize("address", ["/runs/demo", "/runs/demo/features/sae"])
async def test_a_list_without_its_slash_is_found(browser: Browser, address: str) -> None:
    assert (await fetched(browser, address))[0] == 200


@pytest.mark.asyncio
async def test_pages_carry_security_headers_and_nothing_inline(browser: Browser) -> None:
    for address in ("/", "/runs/demo/odd/both", "/nowhere", "/static/page.js", "/healthz"):
        async with browser.get(address) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert not re.search(r"<style|style=|<[a-z]+[^>]*\son\w+=", await answer.text())


@pytest.mark.asyncio
async def test_json_lists_and_state(browser: Browser, manifest: RunManifest) -> None:
    listing = json.loads((await fetched(browser, "/runs/demo/odd/?format=json&show=dead"))[1])
    assert [row["label"] for row in listing["listing"]["rows"]] == ["nobody"]
    assert listing["snapshot"]["content"] == manifest.content
    assert json.loads((await fetched(browser, "/state"))[1]) == {"demo": "final"}
    health = json.loads((await fetched(browser, "/healthz"))[1])
    assert health == {"status": "ok", "runs": 1, "problems": {}}
    missing = json.loads((await fetched(browser, "/runs/x/?format=json"))[1])
    assert "error" in missing


@pytest.mark.asyncio
async def test_several_runs_are_listed(manifest: RunManifest, tmp_path: Path, given: Given) -> None:
    other = write_snapshot(str(tmp_path), given, run="other")
    async with browser_of(SnapshotWatch(lambda: [manifest, other], interval=60)) as browser:
        _, html = await fetched(browser, "/")
        assert 'href="/runs/demo/"' in html
        assert 'href="/runs/other/"' in html


@pytest.mark.asyncio
async def test_refused_records_are_told_with_their_cause(manifest: RunManifest) -> None:
    letter = RefusedRecord("tokens.library", 1, 1234, "VocabularyError", "id <7> is outside")
    refused = replace(manifest, dead_letters=(letter,))
    async with browser_of(SnapshotWatch(lambda: [refused], interval=60)) as browser:
        _, html = await fetched(browser, "/")
        assert "tokens.library, partition 1, offset 1,234: id &lt;7&gt; is outside" in html


@pytest.mark.asyncio
async def test_before_the_first_snapshot_the_page_says_so() -> None:
    async with browser_of(SnapshotWatch(list, interval=60)) as browser:
        status, html = await fetched(browser, "/")
        assert status == 200
        assert "No snapshot has been written yet" in html


@pytest.mark.asyncio
async def test_a_file_that_vanished_is_a_page_that_says_so(
    tmp_path: Path, given: Given, manifest: RunManifest
) -> None:
    written = write_snapshot(str(tmp_path), given)
    async with browser_of(SnapshotWatch(lambda: [written], interval=60)) as browser:
        for part in written.files:
            (tmp_path / "demo" / part.path).unlink()
        status, html = await fetched(browser, "/runs/demo/odd/both")
        assert status == 500
        assert "cannot be read" in html


def test_a_busy_port_is_one_clear_line(manifest: RunManifest) -> None:
    path = f"{manifest.store}/demo/final"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}: .*another port"):
            serve(port=port, snapshot=path)


def test_serve_needs_something_to_show(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="either"):
        serve()
    with pytest.raises(SnapshotError, match="no snapshot at"):
        serve(snapshot=str(tmp_path / "none"))


def test_a_path_source_watches_one_snapshot(manifest: RunManifest) -> None:
    watch = SnapshotWatch(PathSource(f"{manifest.store}/demo/final"))
    watch.look()
    assert set(watch.shelf.snapshots) == {"demo"}
