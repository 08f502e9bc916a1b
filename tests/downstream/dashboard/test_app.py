"""Pages through HTTP."""

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from downstream.dashboard import components
from downstream.dashboard.app import make_app, serve
from downstream.dashboard.manifest_sources import PathSource
from downstream.dashboard.watch import SnapshotWatch
from downstream.rendering.addresses import cluster_address
from streams.errors import BrokerError, SettingsError, SnapshotError, UserError
from streams.snapshots.manifests import RefusedRecord, RunManifest
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot

Browser = TestClient[Any, Any]


@asynccontextmanager
async def browser_of(watch: SnapshotWatch) -> AsyncIterator[Browser]:
    watch.look()
    for snapshot in watch.shelf.snapshots.values():
        snapshot.text_index.wait(30)  # once it is ready, pages have another tag
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
        if address.startswith("/compare/?") and "show=" in address:
            continue  # its links combine all that it can be asked
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
@pytest.mark.parametrize(
    "address",
    ["/runs/demo", "/runs/demo/features/sae", "/runs", "/compare?by=label", "/start", "/maps/demo"],
)
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
async def test_what_has_to_be_said_of_a_run_stands_on_its_first_page(manifest: RunManifest) -> None:
    warned = replace(manifest, warnings=("L0 is <40>, published with 71",))
    async with browser_of(SnapshotWatch(lambda: [warned], interval=60)) as browser:
        _, html = await fetched(browser, "/")
        assert "L0 is &lt;40&gt;, published with 71" in html
        found = json.loads((await fetched(browser, "/?format=json"))[1])
        assert found["snapshot"]["warnings"] == list(warned.warnings)


@pytest.mark.asyncio
async def test_health_of_a_dictionary_stands_beside_its_name(
    manifest: RunManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {
        "source": "sae",
        "published_l0": 71.5,
        "sampled_rows": 8,
        "tokens": 900,
        "explained_variance": 0.875,
        "cross_entropy_recovered": 0.5,
    }
    there = RunManifest.table
    monkeypatch.setattr(
        RunManifest, "table", lambda self, name: name == "health" or there(self, name)
    )
    monkeypatch.setattr(components, "read_table", lambda *_: pa.Table.from_pylist([measured]))
    async with browser_of(SnapshotWatch(lambda: [manifest], interval=60)) as browser:
        _, html = await fetched(browser, "/")
        assert "(published 71.5)" in html
        assert "87.5 % of variance explained, 50.0 % of cross-entropy recovered" in html
        assert "from 8 rows chosen by hash" in html


@pytest.mark.asyncio
async def test_before_the_first_snapshot_the_page_says_so() -> None:
    async with browser_of(SnapshotWatch(list, interval=60)) as browser:
        status, html = await fetched(browser, "/")
        assert status == 200
        assert "No snapshot has been written yet" in html


@pytest.mark.asyncio
async def test_a_file_that_vanished_is_a_page_that_says_so_without_paths(
    tmp_path: Path, given: Given
) -> None:
    written = write_snapshot(str(tmp_path), given)
    async with browser_of(SnapshotWatch(lambda: [written], interval=60)) as browser:
        for part in written.files:
            (tmp_path / "demo" / part.path).unlink()
        for address in ("/runs/demo/odd/both", "/runs/demo/odd/both?format=json"):
            status, text = await fetched(browser, address)
            assert status == 503
            assert "Snapshot final cannot be read: cannot read …/hits-" in text
            assert str(tmp_path) not in text
        status, text = await fetched(browser, "/healthz")
        assert (status, json.loads(text)["status"]) == (503, "failing")
        assert str(tmp_path) not in text
        status, text = await fetched(browser, "/runs/demo/odd/")
        assert (status, "snapshot final cannot be read" in text) == (200, True)


@pytest.mark.asyncio
async def test_the_last_good_snapshot_takes_the_place_of_a_damaged_one(
    tmp_path: Path, given: Given
) -> None:
    older = write_snapshot(str(tmp_path / "a"), given, snapshot="noon", final=False)
    newer = write_snapshot(str(tmp_path / "b"), given)
    async with browser_of(SnapshotWatch(lambda: [older, newer], interval=60)) as browser:
        assert json.loads((await fetched(browser, "/state"))[1]) == {"demo": "final"}
        for part in newer.files:
            path = tmp_path / "b" / "demo" / part.path
            path.write_bytes(bytes(part.bytes))
        status, html = await fetched(browser, "/runs/demo/odd/both")
        assert status == 200
        assert "interim" in html
        assert "snapshot final cannot be read" in html
        health = json.loads((await fetched(browser, "/healthz"))[1])
        assert health["status"] == "degraded"
        assert json.loads((await fetched(browser, "/state"))[1]) == {"demo": "noon"}


@pytest.mark.asyncio
async def test_health_says_whether_pages_can_be_served() -> None:
    def unreachable() -> list[RunManifest]:
        raise BrokerError("nobody answers")

    async with browser_of(SnapshotWatch(list, interval=60)) as browser:
        assert json.loads((await fetched(browser, "/healthz"))[1])["status"] == "waiting"
    async with browser_of(SnapshotWatch(unreachable, interval=60)) as browser:
        status, text = await fetched(browser, "/healthz")
        assert (status, json.loads(text)["problems"]) == (503, {"": "nobody answers"})


@pytest.mark.asyncio
async def test_a_page_that_did_not_change_is_not_sent_again(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {}
    for address in ("/runs/demo/odd/", "/runs/demo/odd/both", "/runs/demo/odd/?format=json"):
        async with browser.get(address) as answer:
            tags[address] = answer.headers["ETag"]
    assert tags["/runs/demo/odd/"] != tags["/runs/demo/odd/?format=json"]

    def made(*_: object, **__: object) -> None:
        raise AssertionError("a page was made that did not change")

    monkeypatch.setattr("downstream.dashboard.pages.run_path", made)
    for address, tag in tags.items():
        async with browser.get(address, headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.asyncio
async def test_other_content_has_another_tag(tmp_path: Path, given: Given) -> None:
    one = write_snapshot(str(tmp_path / "a"), given)
    other = write_snapshot(str(tmp_path / "b"), replace_values(given))
    tags = []
    for manifest in (one, other):
        watch = SnapshotWatch(lambda m=manifest: [m], interval=60)  # type: ignore[misc]
        async with browser_of(watch) as browser, browser.get("/runs/demo/odd/") as answer:
            tags.append(answer.headers["ETag"])
    assert tags[0] != tags[1]


def replace_values(given: Given) -> Given:
    return replace(given, values=given.values * 2)


@pytest.mark.asyncio
async def test_json_is_negotiated_and_pages_are_compressed(browser: Browser) -> None:
    for accept, kind in [
        ("application/json", "application/json"),
        ("text/html,application/json;q=0.9", "text/html"),
        ("*/*", "text/html"),
    ]:
        async with browser.get("/runs/demo/odd/both", headers={"Accept": accept}) as answer:
            assert answer.content_type == kind
            assert "Accept" in answer.headers["Vary"]
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "Access-Control-Allow-Origin" not in answer.headers
    async with browser.get("/runs/demo/odd/both", headers={"Accept-Encoding": ""}) as answer:
        assert "Content-Encoding" not in answer.headers


@pytest.mark.asyncio
async def test_a_list_is_read_page_by_page_with_cursors(browser: Browser) -> None:
    address, seen, found = "/runs/demo/odd/?format=json&sort=max&down=1&limit=4", [], None
    cursor: Any = ""
    while cursor is not None:
        listing = json.loads((await fetched(browser, f"{address}&cursor={cursor}"))[1])["listing"]
        seen += [row["number"] for row in listing["rows"]]
        found, cursor = listing["found"], listing["next"]
    everything = json.loads((await fetched(browser, f"{address}&limit=99&page=1"))[1])
    assert len(seen) == len(set(seen)) == found == everything["listing"]["found"]


@pytest.mark.asyncio
@pytest.mark.parametrize("cursor", ["x", "-1", f"{'0' * 12}-4", "../..", "9" * 99])
async def test_a_cursor_of_another_snapshot_is_refused(browser: Browser, cursor: str) -> None:
    status, text = await fetched(browser, f"/runs/demo/odd/?format=json&cursor={cursor}")
    assert status == 400
    assert "cursor" in json.loads(text)["error"]


@pytest.mark.asyncio
async def test_json_holds_the_strings_of_tokens_beside_what_is_shown(
    browser: Browser, given: Given
) -> None:
    page = json.loads((await fetched(browser, "/runs/demo/odd/~..?format=json"))[1])["cluster"]
    tokens = [token for context in page["contexts"] for token in context["tokens"]]
    assert {
        "id": given.vocabulary.index(b"\n"),
        "text": "\n",
        "display": [["break", "⏎"]],
    } in tokens
    for token in tokens:
        raw = given.vocabulary[token["id"]]
        text = token["text"]
        assert (text.encode() if isinstance(text, str) else bytes.fromhex(text["bytes"])) == raw


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "address",
    [
        "/runs/demo/odd/both/",
        "/runs/demo/features/sae/2//",
        "/components/demo/sae/",
        "/healthz/",
    ],
)
async def test_a_slash_too_many_leads_to_the_page(browser: Browser, address: str) -> None:
    async with browser.get(address) as answer:
        assert answer.status == 200
        assert answer.history[0].status == 308
    assert (await fetched(browser, "/runs/demo/odd/nothing/"))[0] == 404


@pytest.mark.asyncio
async def test_odd_labels_have_pages(tmp_path: Path, given: Given) -> None:
    labels = [
        "a\nb",
        "a/b",
        "a//b",
        "/",
        "\r\n",
        "?",
        "#",
        "%2F",
        "%",
        "~",
        ".",
        "é\u202e",
        " ",
        "+",
    ]
    odd = replace(given, clusters=[("odd\nname/x", label, [0]) for label in labels])
    written = write_snapshot(str(tmp_path), odd)
    async with browser_of(SnapshotWatch(lambda: [written], interval=60)) as browser:
        for label in labels:
            address = cluster_address("demo", "odd\nname/x", 0, label)
            status, text = await fetched(browser, f"{address}?format=json")
            assert (status, json.loads(text)["cluster"]["label"]) == (200, label)
            status, html = await fetched(browser, address)
            assert status == 200
            assert "\u202e" not in html
            assert "name/x" not in html.replace("odd⏎name/x", "").replace("odd%0Aname/x", "")


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
