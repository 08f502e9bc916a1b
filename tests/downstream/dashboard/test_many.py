"""All runs and snapshots of a store, and runs that are not finished."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from downstream.dashboard.app import make_app
from downstream.dashboard.progress import ProgressWatch, RunProgress, Side
from downstream.dashboard.store_source import StoreSource, is_store
from downstream.dashboard.watch import SnapshotWatch
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot
from tests.downstream.dashboard.test_app import browser_of, fetched


@pytest.fixture
def store(tmp_path: Path, given: Given) -> Path:
    """A store of two runs, one with two snapshots."""
    write_snapshot(str(tmp_path), given, snapshot="noon", final=False)
    write_snapshot(str(tmp_path), given)
    write_snapshot(str(tmp_path), given, run="other")
    return tmp_path


def test_a_store_is_told_from_a_snapshot(store: Path) -> None:
    assert is_store(str(store))
    assert not is_store(str(store / "demo" / "final"))
    assert not is_store(str(store / "nothing"))


def test_every_snapshot_of_a_store_is_found_where_it_lies_now(store: Path, tmp_path: Path) -> None:
    moved = tmp_path.with_name("moved")
    store.rename(moved)
    (moved / "demo" / "broken").mkdir()
    (moved / "demo" / "broken" / "manifest.json").write_text("{")
    source = StoreSource(str(moved))
    found = {(one.run, one.snapshot) for one in source()}
    assert found == {("demo", "noon"), ("demo", "final"), ("other", "final")}
    assert {one.store for one in source()} == {str(moved)}


def test_a_manifest_is_read_again_when_it_changed(store: Path, given: Given) -> None:
    source = StoreSource(str(store))
    before = {one.snapshot: one for one in source() if one.run == "demo"}
    write_snapshot(str(store), given, created="2032-01-01T00:00:00+00:00")
    after = {one.snapshot: one for one in source() if one.run == "demo"}
    assert after["final"].created != before["final"].created
    assert after["noon"] is before["noon"]


@pytest.mark.asyncio
async def test_the_overview_leads_to_every_snapshot_and_keeps_to_it(store: Path) -> None:
    async with browser_of(SnapshotWatch(StoreSource(str(store)), interval=60)) as browser:
        status, html = await fetched(browser, "/")
        assert status == 200
        for name in ("demo%40noon", "demo%40final", "other%40final"):
            assert f'href="/runs/{name}/"' in html
        status, html = await fetched(browser, "/runs/demo@noon/odd/both")
        assert status == 200
        assert "interim" in html
        assert 'href="/runs/demo%40noon/odd/"' in html
        assert 'href="/runs/demo%40final/odd/both">final</a>' in html
        assert (await fetched(browser, "/runs/demo@never/"))[0] == 404
        state = json.loads((await fetched(browser, "/?format=json"))[1])
        assert len(state["snapshots"]) == 3


@pytest.mark.asyncio
async def test_a_pinned_snapshot_that_is_lost_gives_a_clear_page(store: Path) -> None:
    async with browser_of(SnapshotWatch(StoreSource(str(store)), interval=60)) as browser:
        for part in (store / "demo" / "parts").iterdir():
            part.unlink()
        status, html = await fetched(browser, "/runs/demo@noon/")
        assert (status, str(store) in html) == (503, False)


def run(done: int | None, lag: int | None = 50) -> RunProgress:
    return RunProgress("late", "gpt2", "library", (Side("activations", 100, done, lag),))


def test_rates_come_from_one_look_to_the_next() -> None:
    answers = [[run(10)], [run(30)], [run(None, None)], [run(40)]]
    watch = ProgressWatch(lambda: answers.pop(0))
    seen: list[Sequence[float | None]] = []
    for now in (100.0, 104.0, 105.0, 106.0):
        watch.look(now)
        ((side,),) = [one.sides for one in watch.runs]
        seen.append((side.rate, side.eta))
    assert seen == [(None, None), (5.0, 10.0), (None, None), (None, None)]
    answers = [[replace(run(done), tokens_per_batch=64.0)] for done in (10, 30)]
    watch.look(107.0)
    watch.look(109.0)
    assert watch.runs[0].tokens_per_second == 640.0  # ten batches of 64 tokens a second


@pytest.mark.asyncio
async def test_pages_are_told_what_changes(given: Given, tmp_path: Path) -> None:
    from aiohttp.test_utils import TestClient, TestServer

    manifest = write_snapshot(str(tmp_path), given)
    manifests: list[object] = []
    watch = SnapshotWatch(lambda: list(manifests), interval=60)  # type: ignore[arg-type]
    watch.look()
    progress = ProgressWatch(lambda: [replace(run(10), run="demo")], interval=60)
    progress.look(1.0)
    async with (
        TestClient(TestServer(make_app(watch, progress))) as browser,
        browser.get("/events") as answer,
    ):
        assert answer.content_type == "text/event-stream"
        first = json.loads((await answer.content.readline()).removeprefix(b"data: "))
        assert first["snapshots"] == {}
        assert first["progress"][0]["sides"][0]["lag"] == 50
        manifests.append(manifest)
        watch.look()
        await answer.content.readline()
        second = json.loads((await answer.content.readline()).removeprefix(b"data: "))
        assert second["snapshots"] == {"demo": "final"}
        _, html = await fetched(browser, "/runs/")
        assert "10 of 100" in html
        assert "Dead letters" in html
