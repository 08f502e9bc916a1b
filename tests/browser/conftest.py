"""A real browser before a served snapshot: Chromium, driven by Playwright."""

import asyncio
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from downstream.dashboard.app import make_app
from downstream.dashboard.model_client import ModelClient
from downstream.dashboard.watch import Shelf, SnapshotWatch
from tests.downstream.dashboard.model_answers import ABLATED, CONCEPT, body, with_contents
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.dashboard.test_starting import Starter
from tests.downstream.dashboard.test_trying import ANSWER, STEERED

TOKEN = "not to be guessed"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Served:
    """A dashboard in a thread of its own. manifests: what it shows, changed by tests.

    starter: offers runs and makes none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifests = [with_contents(write_snapshot(str(folder), small()))]
        self.watch = SnapshotWatch(lambda: list(self.manifests), interval=60)
        self.watch.look()
        self.address = ""
        self.starter = Starter()

    @property
    def shelf(self) -> Shelf:
        return self.watch.shelf


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve the small snapshot, whose texts can be searched, until the block ends."""
    found = Served(folder)
    for snapshot in found.shelf.snapshots.values():
        assert snapshot.text_index.wait(30)
    loop = asyncio.new_event_loop()

    async def start(app: web.Application) -> tuple[web.AppRunner, str]:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    answers: dict[str, Any] = {"ask": ANSWER, "steer": STEERED}
    answers |= {"ablate": ABLATED, "concept": CONCEPT}
    model = _model_service(
        {name: body(found.manifests[0], asdict(one)) for name, one in answers.items()}
    )
    service, url = asyncio.run_coroutine_threadsafe(start(model), loop).result(30)
    client = ModelClient(f"{url}/")
    app = make_app(found.watch, edit_token=TOKEN, model=client, starter=found.starter)
    pages, found.address = asyncio.run_coroutine_threadsafe(start(app), loop).result(30)
    yield found
    for runner in (pages, service):
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The small snapshot, served."""
    with serving(tmp_path) as found:
        yield found


def _model_service(answers: Mapping[str, Any]) -> web.Application:
    """Return a stand-in for a model service, which answers all questions of a kind alike."""

    async def answer(request: web.Request) -> web.Response:
        await request.json()
        return web.json_response(answers[request.match_info["kind"]])

    app = web.Application()
    app.router.add_post("/{kind}", answer)
    return app


@pytest.fixture(scope="module")  # while it runs, no other event loop can in this thread
def chromium() -> Iterator[Any]:
    """Chromium; says so where it or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium here: nothing was tried in a browser")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened_page(chromium: Any, served: Served) -> Iterator[Any]:
    """Yield an empty page; what its scripts complain of fails at the end."""
    context = chromium.new_context(base_url=served.address)
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: problems.append(f"a dialog: {dialog.message}"))
    yield opened
    context.close()
    assert problems == []


@pytest.fixture
def page(chromium: Any, served: Served) -> Iterator[Any]:
    """An empty page of the dashboard."""
    with opened_page(chromium, served) as opened:
        yield opened
