"""Pages open without a server and show what the dashboard's do; nothing but their own runs."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

import millrace
from downstream.dashboard.app import make_app
from downstream.dashboard.watch import SnapshotWatch
from downstream.exporters import html
from downstream.exporters.exporting import export
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError
from tests import factories
from tests.downstream.dashboard.test_over_a_run import opened
from tests.downstream.exporters.conftest import Written

_VOID = {"meta", "link", "img", "br", "input"}
SHARED = {"style.css", "page.js", "mark.svg"}
CLUSTERS = ("both", "<script>alert(3)</script>", "a/b%2F?c#d é", "..", "", "nobody")


class Page(HTMLParser):
    """The tags, attributes and text of a page; tags must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, wanted: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == wanted]


@pytest.fixture(scope="module")
def folder(attached: Snapshot, written: Written) -> Path:
    """The pages of all features and of the clusters with strange names."""
    return written("html", attached, features="0-4", cluster=CLUSTERS, clustering="odd")


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Page]:
    return {path.name: Page(path.read_text()) for path in folder.glob("*.html")}


def test_the_list_leads_to_all_pages_and_every_link_to_a_file(
    folder: Path, pages: dict[str, Page]
) -> None:
    assert len(pages) == 12
    listed = {link for link in pages["index.html"].all("href") if re.match(r"\d+-", link)}
    assert listed == set(pages) - {"index.html"}
    for page in pages.values():
        for link in page.all("href") + page.all("src"):
            assert link.startswith(("#", "https://")) or (folder / link).is_file()


def test_nothing_runs_but_the_script_beside(folder: Path, pages: dict[str, Page]) -> None:
    assert {path.name for path in folder.iterdir()} == {*SHARED, *pages, "millrace-export.json"}
    for page in pages.values():
        assert not {"iframe", "object", "form", "style"} & set(page.tags)
        assert page.tags.count("script") == 1
        assert [v for tag, name, v in page.attributes if (tag, name) == ("script", "src")] == [
            "page.js"
        ]
        assert not any(name.startswith("on") or name == "style" for _, name, _ in page.attributes)
        assert any("default-src 'none'" in said for said in page.all("content"))
    assert "url(" not in (folder / "style.css").read_text()


def _piece(text: str, begin: str, end: str) -> str:
    """Return a piece of a page without its addresses."""
    found = text[text.index(begin) :]
    found = re.sub(r' href="[^"]*"', "", found[: found.index(end)])
    return re.sub(r"</?(a|span)\b( class=\"chip\")?>", "", found)


@pytest.mark.asyncio
async def test_pages_show_what_the_dashboard_shows(
    pages: dict[str, Page], attached: Snapshot
) -> None:
    watch = SnapshotWatch(lambda: [attached.manifest])
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        for number in range(5):
            answer = await browser.get(f"/runs/attached/features/sae/{number}")
            served, ours = await answer.text(), pages[f"{number}-{number}.html"].source
            assert _piece(ours, '<dl class="provenance">', "</dl>")
            for begin, end in (("<h1>", "</h1>"), ("<h2>Numbers</h2>", "</section>")):
                assert _piece(ours, begin, end) == _piece(served, begin, end)
            ends = ("<ol", "</ol>") if "<ol" in served else ('<p class="empty">', "</p>")
            assert _piece(ours, *ends).split() == _piece(served, *ends).split()
            for panel in ("Logit lens", "Nearest directions", "Activations where it is active"):
                begin = f"<h2>{panel}"
                assert (begin in ours) == (begin in served)
                if begin in ours:
                    assert _piece(ours, begin, "</section>") == _piece(served, begin, "</section>")


def test_pages_lead_on_in_the_order_of_the_export(pages: dict[str, Page]) -> None:
    source = pages["2-2.html"].source
    assert re.search(r'<a href="1-1.html" rel="prev">', source)
    assert re.search(r'<a href="3-3.html" rel="next">', source)
    assert 'rel="prev"' not in pages["0-0.html"].source


def test_a_page_by_each_ranking_links_the_others(tmp_path: Path) -> None:
    plan = factories.plan(rankings=("maximum", "shared=6"))
    opened(tmp_path / "store", plan)
    run, chosen = millrace.open(tmp_path / "store"), {"features": "1"}
    several = {**chosen, "ranking": ("silent", "maximum")}
    place = export(html.Html(), run, tmp_path / "out", several).path
    first, second = (
        Page((place / "1-1.html").read_text()),
        Page((place / "1-1.maximum.html").read_text()),
    )
    assert "Contexts in which it is silent" in first.source
    assert "1-1.maximum.html" in first.all("href")
    assert "1-1.html" in second.all("href")
    assert not (place / "1-1.shared.html").exists()
    with pytest.raises(ExportError, match="no ranking 'best'"):
        export(html.Html(), run, tmp_path / "none", {**chosen, "ranking": ("best",)})


def test_one_page_is_one_file_that_loads_nothing(attached: Snapshot, written: Written) -> None:
    place = written("html", attached, features="2")
    assert place.is_file()
    page = Page(place.read_text())
    assert page.tags.count("h1") == 1
    links = page.all("href") + page.all("src")
    assert all(link.startswith(("#", "data:image/svg+xml;base64,")) for link in links)
    policy = " ".join(page.all("content"))
    for tag in ("style", "script"):
        (held,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.source, re.S)
        digest = base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_a_long_list_has_several_pages(
    many: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "_LISTED", 15)
    place = export(html.Html(), many, tmp_path / "out", {"features": "0-39"}).path
    lists = [Page((place / f"index{more}.html").read_text()) for more in ("", "-2", "-3")]
    assert not (place / "index-4.html").exists()
    linked = [link for one in lists for link in one.all("href") if re.match(r"\d+-", link)]
    assert linked == [f"{number}-{number}.html" for number in range(40)]
    assert "index-3.html" in lists[1].all("href")
    assert "index.html" in lists[1].all("href")


def test_a_dead_feature_says_so(pages: dict[str, Page]) -> None:
    assert "it is never active" in pages["3-3.html"].source
