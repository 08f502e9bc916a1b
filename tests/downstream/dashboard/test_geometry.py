"""Geometry on a run's first page, once it is attached."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from downstream.dashboard.app import make_app
from downstream.dashboard.geometry import _read
from downstream.dashboard.watch import SnapshotWatch
from downstream.derived.attach import attach
from downstream.derived.derivation import Options
from downstream.derived.geometry import Geometry
from downstream.rendering.attached import attachments_of
from downstream.rendering.opening import open_snapshot
from tests.downstream.derived.conftest import WIDTH, written


@pytest.mark.asyncio
async def test_the_first_page_shows_it_once_it_is_attached(tmp_path: Path) -> None:
    world = written(tmp_path / "store", tmp_path / "weights")
    watch = SnapshotWatch(lambda: [world.manifest], interval=600)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:

        async def page() -> tuple[str, Any]:
            async with browser.get("/runs/demo/features/sae/") as answer:
                html = await answer.text()
            async with browser.get("/runs/demo/features/sae/?format=json") as answer:
                return html, (await answer.json())["geometry"]

        html, shown = await page()
        assert "Active directions" not in html
        assert shown == {"directions": [], "hooks": [], "problem": ""}
        attach(Geometry(), world.given, Options(), created="2031-05-06T07:08:09Z")
        for _ in range(5):
            watch.look()
        html, shown = await page()
        assert "Active directions" in html
        (row,) = world.given.snapshot.attachment("geometry")["direction_geometry"].to_pylist()
        names = ("domain", "participation_ratio", "effective_rank", "anisotropy")
        expected = {"of": "sae", "dimensions": WIDTH, **{name: row[name] for name in names}}
        assert shown == {"directions": [expected], "hooks": [], "problem": ""}
    (attached,) = attachments_of(open_snapshot(world.manifest)).now()
    without = replace(attached, tables=attached.tables[:1])
    assert _read(without).problem == "The attached geometry cannot be read."
