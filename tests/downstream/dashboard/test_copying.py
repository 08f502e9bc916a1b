"""A feature passed on: as Markdown, as HTML, in frames of other sites, at Neuronpedia."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from downstream.dashboard.app import make_app
from downstream.dashboard.copying import code, markdown, plain
from downstream.dashboard.watch import SnapshotWatch
from downstream.derived.attach import attach
from downstream.derived.derivation import Options
from downstream.derived.norms import Norms
from downstream.rendering.cluster import cluster_page
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from downstream.rendering.published import published_address
from millrace.dashboard_server import origin
from streams.errors import SettingsError
from streams.snapshots.manifests import RunManifest
from tests.downstream.derived.conftest import written

MarkdownIt = pytest.importorskip("markdown_it", reason="no reader of Markdown here").MarkdownIt
HOSTILE = "/runs/demo/odd/%3Cscript%3Ealert%283%29%3C%2Fscript%3E"
ONE_LINE = st.text(st.characters(blacklist_categories=("C", "Z"), min_codepoint=33), min_size=1)


class Text(HTMLParser):
    """The text of HTML, and the names of its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.elements = "", set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ONE_LINE)
def test_nothing_in_a_text_is_syntax_of_markdown(text: str) -> None:
    for made, elements in ((plain(text), {"p"}), (code(text), {"p", "code"})):
        shown = Text(MarkdownIt("commonmark", {"html": True}).render(f"x {made}"))
        assert shown.elements == elements
        assert shown.text.strip() == f"x {text}" or "|" in text


def test_markdown_holds_the_numbers_and_the_text_of_examples(snapshot: LoadedSnapshot) -> None:
    page = cluster_page(snapshot, 0)
    made = markdown(snapshot, page, "the <word>", "http://here/x")
    rendered = Text(MarkdownIt("commonmark").enable("table").render(made))
    assert {"h3", "table", "code", "strong", "a"} <= rendered.elements
    assert "script" not in rendered.elements
    assert "feature 0 of features/sae: the <word>" in rendered.text
    for number in page.numbers:
        assert number.text in rendered.text
    assert all(context.tokens[context.peak].raw == b"the" for context in page.contexts)
    assert made.count("**`the`**") == len(page.contexts)


@pytest.mark.asyncio
async def test_copies_and_frames_are_answered(manifest: RunManifest) -> None:
    def app(**options: Any) -> web.Application:
        watch = SnapshotWatch(lambda: [manifest], interval=60)
        watch.look()
        return make_app(watch, **options)

    sites = ["https://notes.example.org", "http://localhost:8888"]
    async with TestClient(TestServer(app(embed_origins=sites))) as browser:

        async def got(address: str) -> tuple[str, str, str, str]:
            async with browser.get(URL(address, encoded=True)) as answer:
                assert answer.status == 200
                policy = answer.headers["Content-Security-Policy"]
                tag = answer.headers["ETag"]
                return answer.content_type, await answer.text(), policy, tag

        kind, made, _, first = await got(f"{HOSTILE}?format=md")
        assert kind == "text/markdown"
        host = f"http://127.0.0.1:{browser.port}"
        assert f"<{host}/runs/demo%40final/odd/%3Cscript%3E" in made
        kind, made, _, second = await got(f"{HOSTILE}?format=snippet")
        assert kind == "text/plain"
        assert "<script" not in made
        assert "&lt;script&gt;alert(3)" in made
        assert f'href="{host}/runs/demo%40final/' in made
        _, html, policy, _ = await got(f"{HOSTILE}?embed=1")
        assert "frame-ancestors https://notes.example.org http://localhost:8888" in policy
        assert "<script" not in html
        _, whole, policy, third = await got(HOSTILE)
        assert "frame-ancestors 'none'" in policy
        assert len({first, second, third}) == 3
        for link in re.findall(r'data-copy href="([^"]*)"', whole):
            await got(link.replace("&amp;", "&"))
        _, _, policy, _ = await got("/runs/demo/odd/?embed=1")
        assert "frame-ancestors 'none'" in policy
    async with (
        TestClient(TestServer(app())) as browser,
        browser.get("/runs/demo/odd/both?embed=1") as answer,
    ):
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "text", ["example.org", "https://a.org/", "https://*", "a; b", "https://a b"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no origin"):
        origin(text)
    assert origin("http://localhost:8888") == "http://localhost:8888"


def test_a_feature_of_a_known_release_is_linked(tmp_path: Path) -> None:
    world = written(tmp_path / "store", tmp_path / "weights")
    config = tmp_path / "weights" / "sae" / "cfg.json"
    for release, found in (
        ("gpt2-small/6-res-jb", "https://www.neuronpedia.org/gpt2-small/6-res-jb/2"),
        ('x" onclick="', ""),
        (None, ""),
    ):
        config.write_text(json.dumps({"metadata": {"neuronpedia_id": release}}))
        attach(Norms(), world.given, Options(), created="2031-05-06T07:08:09Z")
        opened = open_snapshot(world.manifest)
        assert published_address(opened, 2) == found
        assert published_address(opened, 6) == ""  # a cluster of several
