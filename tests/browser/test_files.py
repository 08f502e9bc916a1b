"""Exported pages in a real browser, from the disk: no server, no network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import millrace
from downstream.exporters.exporting import export
from downstream.exporters.registry import find_exporter
from tests.browser.test_pages import CONTRAST
from tests.downstream.dashboard.snapshot_files import small, write_snapshot


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All features and two clusters, as a folder; ``one.html`` beside it is a single feature."""
    store = tmp_path_factory.mktemp("store")
    write_snapshot(str(store), small())
    opened, out = millrace.open(store), tmp_path_factory.mktemp("out")
    clusters = {"cluster": ("both", "<script>alert(3)</script>"), "clustering": "odd"}
    several = {"features": "0-4", **clusters}
    exporter = find_exporter("html")
    export(exporter, opened, out / "one.html", {"features": "0"})
    return export(exporter, opened, out / "pages", several).path


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """An empty page without a network; complaints of scripts and of the policy fail the test."""
    context = chromium.new_context(offline=True)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: problems.append(dialog.message))
    opened.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    opened.on("requestfailed", lambda request: problems.append(request.url))
    yield opened
    opened.wait_for_load_state("networkidle")  # what is on its way would fail by being left
    context.close()
    assert problems == []


def arrive(page: Any, name: str) -> None:
    """Wait for a page and all that it loads, which fails if the next page is gone to before."""
    page.wait_for_url(f"**/{name}", wait_until="networkidle")


def test_the_way_from_the_list_through_the_features_by_keys(page, folder):
    page.goto((folder / "index.html").as_uri())
    arrive(page, "index.html")
    assert page.locator(".clusters tbody tr").count() == 7
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    arrive(page, "0-0.html")
    page.keyboard.press("j")
    arrive(page, "1-1.html")
    page.get_by_role("link", name="both").click()
    arrive(page, "5-both.html")
    page.get_by_role("link", name="Millrace").click()
    arrive(page, "index.html")


@pytest.mark.parametrize("name", ["pages/0-0.html", "one.html"])
def test_styles_apply_and_the_script_runs(page, folder, name):
    page.goto((folder.parent / name).as_uri())
    shaded = page.locator(".whole mark.t").first
    assert "0, 0, 0, 0" not in shaded.evaluate("each => getComputedStyle(each).backgroundColor")
    shaded.hover()
    assert " at position " in page.locator(".tip").inner_text()
    page.keyboard.press("?")
    assert "search" not in page.locator("dialog").inner_text()


@pytest.mark.parametrize(
    "name", ["pages/index.html", "pages/0-0.html", "pages/5-both.html", "one.html"]
)
def test_files_fit_a_narrow_screen_and_are_readable(page, folder, name):
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto((folder.parent / name).as_uri())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        measured = page.evaluate(CONTRAST)
        assert measured["seen"] > 5
        assert measured["found"] == {}
