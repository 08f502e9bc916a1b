"""Labels, stars and notes: written by those who may, shown, found, exported."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from downstream.dashboard.app import make_app
from downstream.dashboard.labels import LabelLog
from downstream.dashboard.watch import SnapshotWatch
from streams.snapshots.annotations import read_annotations
from streams.snapshots.store import open_store
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot
from tests.downstream.dashboard.test_app import Browser, fetched

TOKEN = "not to be guessed"


@pytest_asyncio.fixture
async def editable(tmp_path: Path, given: Given) -> AsyncIterator[Browser]:
    manifest = write_snapshot(str(tmp_path), given)
    watch = SnapshotWatch(lambda: [manifest], interval=60)
    watch.look()
    async with TestClient(TestServer(make_app(watch, edit_token=TOKEN))) as browser:
        yield browser


async def post(browser: Browser, headers: Mapping[str, str] | None = None, **said: Any) -> int:
    form = {
        "clustering": "features/sae", "iteration": "0", "label": "2", "kind": "label",
        "text": "word <b>endings</b>", "author": "ada", "token": TOKEN, **said,
    }  # fmt: skip
    async with browser.post(
        "/annotations/demo", data=form, headers=headers, allow_redirects=False
    ) as answer:
        return answer.status


@pytest.mark.asyncio
async def test_a_label_is_shown_found_and_exported_as_it_was_written(
    editable: Browser, tmp_path: Path
) -> None:
    async with editable.get("/runs/demo/features/sae/") as answer:
        before = answer.headers["ETag"]
    assert await post(editable) == 303
    assert await post(editable, kind="star", text="*") == 303
    assert await post(editable, kind="note", text="a\r\nb") == 303
    _, html = await fetched(editable, "/runs/demo/features/sae/2")
    assert "word &lt;b&gt;endings&lt;/b&gt;" in html
    assert "Starred by ada" in html
    assert "Edit token" not in html  # the cookie says who it is
    for asked in ("q=ENDINGS", "marked=labelled", "marked=starred"):
        listing = json.loads(
            (await fetched(editable, f"/runs/demo/features/sae/?{asked}&format=json"))[1]
        )["listing"]
        assert [row["label"] for row in listing["rows"]] == ["2"]
        assert listing["rows"][0]["written"]["label"] == "word <b>endings</b>"
    async with editable.get("/runs/demo/features/sae/") as answer:
        assert answer.headers["ETag"] != before
    _, lines = await fetched(editable, "/annotations/demo")
    stored = read_annotations(open_store(str(tmp_path)), "demo").log
    assert [json.loads(line)["text"] for line in lines.splitlines()] == [one.text for one in stored]
    assert {one.text for one in stored} == {"word <b>endings</b>", "*", "a\nb"}
    assert await post(editable, text="", token="") == 303  # an empty label takes it back
    _, html = await fetched(editable, "/runs/demo/features/sae/2")
    assert "endings" not in html


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "headers", "status"),
    [
        ({"token": "guessed"}, {}, 403),
        ({"token": ""}, {}, 403),
        ({"token": ""}, {"Cookie": "millrace-edit=" + "0" * 64}, 403),
        ({}, {"Origin": "https://elsewhere.example"}, 403),
        ({}, {"Origin": "null"}, 403),
        ({"token": ""}, {"Authorization": f"Bearer {TOKEN}"}, 303),
        ({"label": "99"}, {}, 404),
        ({"clustering": "none"}, {}, 404),
        ({"iteration": "²"}, {}, 404),
        ({"kind": "script"}, {}, 400),
        ({"author": " "}, {}, 400),
        ({"text": "x" * 70_000}, {}, 400),
        ({"text": "x" * 200_000}, {}, 413),
    ],
)
async def test_who_may_not_and_what_makes_no_sense_is_refused(
    editable: Browser, tmp_path: Path, said: Any, headers: dict[str, str], status: int
) -> None:
    assert await post(editable, headers, **said) == status
    assert bool(LabelLog(str(tmp_path), "demo").now().log) == (status == 303)


@pytest.mark.asyncio
async def test_without_a_token_nobody_writes(given: Given, tmp_path: Path) -> None:
    manifest = write_snapshot(str(tmp_path), given)
    watch = SnapshotWatch(lambda: [manifest], interval=60)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        for token in ("", TOKEN, "None"):
            assert await post(browser, token=token) == 403
        _, html = await fetched(browser, "/runs/demo/features/sae/2")
        assert '<form class="write"' not in html
