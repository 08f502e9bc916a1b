"""Pages open without a server: nothing is loaded, nothing runs, all text is escaped."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from downstream.reading.snapshot import Snapshot
from tests.downstream.exporters.conftest import Written

_VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """The tags, attributes and text of a page; tags must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
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

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(attached: Snapshot, written: Written) -> Path:
    """The pages of all features and of the clusters with strange names."""
    return written(
        "html",
        attached,
        features="0-4",
        cluster=("both", "<script>alert(3)</script>", "a/b%2F?c#d é", "..", "", "nobody"),
        clustering="odd",
    )


def test_each_page_is_well_formed_and_the_index_links_all(folder: Path) -> None:
    pages = {path.name: Page(path.read_text()) for path in folder.glob("*.html")}
    assert len(pages) == 12
    linked = {value for tag, name, value in pages["index.html"].attributes if name == "href"}
    assert linked == set(pages) - {"index.html"}


def test_nothing_is_loaded_and_nothing_runs(folder: Path) -> None:
    for path in folder.glob("*.html"):
        page = Page(path.read_text())
        assert not {"script", "iframe", "img", "link", "object", "form"} & set(page.tags)
        names = {name for _, name, _ in page.attributes}
        assert not any(name.startswith("on") or name in ("src", "style") for name in names)
        policies = [value for _, name, value in page.attributes if name == "content"]
        assert "default-src 'none'" in policies[0]
        style = re.search(r"<style>(.*?)</style>", path.read_text(), re.S)
        assert style is not None
        assert "url(" not in style[1]


def test_a_page_shows_the_numbers_the_examples_and_the_lens(
    folder: Path, attached: Snapshot
) -> None:
    feature = attached.feature(0)
    page = Page((folder / "0-0.html").read_text())
    shown = "".join(page.text)
    assert f"{feature['firing_tokens']:,}" in shown
    for example in feature.examples():
        assert f"{example.score:.5g}" in shown
        assert example.document in shown
    peaks = [v for _, name, v in page.attributes if name == "class" and "peak" in v]
    assert len(peaks) == len(feature.examples())
    assert "promoted" in shown
    assert "promoted" not in (folder / "3-3.html").read_text()


def test_one_feature_is_one_file(attached: Snapshot, written: Written) -> None:
    place = written("html", attached, features="2")
    assert place.is_file()
    assert Page(place.read_text()).tags.count("h1") == 1


def test_a_dead_feature_says_so(folder: Path) -> None:
    assert "active nowhere" in (folder / "3-3.html").read_text()
