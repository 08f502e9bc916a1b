"""The drawn snapshot that pages are measured with."""

from benchmarks.dashboard import QUICK, pages
from benchmarks.wide_snapshot import write_wide_snapshot
from downstream.dashboard.pages import Page, run_path
from downstream.dashboard.watch import Shelf
from downstream.rendering.opening import open_snapshot


def test_it_opens_and_every_page_that_is_measured_is_there(tmp_path):
    manifest = write_wide_snapshot(str(tmp_path), QUICK)
    shelf = Shelf({manifest.run: open_snapshot(manifest)})
    for asked, _ in pages(QUICK).values():
        path, _, query = asked(1).partition("?")
        page = run_path(shelf, path, dict(part.split("=") for part in query.split("&") if part))
        assert isinstance(page, Page)
        assert page.status == 200
        assert page.data()
