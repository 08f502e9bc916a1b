"""Attachments on a feature's page: read, shown, and left out without harm."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from downstream.dashboard.app import make_app
from downstream.dashboard.watch import SnapshotWatch
from downstream.derived.attach import attach
from downstream.derived.derivation import Options
from downstream.derived.registry import find_derivation
from downstream.rendering.attached import attachments_of
from downstream.rendering.opening import open_snapshot
from downstream.rendering.panels.panel import Feature, feature_of
from tests.downstream.derived.conftest import World, written

PAGE = "/runs/demo/features/sae/2"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return written(tmp_path / "store", tmp_path / "weights")


def attach_kinds(world: World, *kinds: str, k: int = 3) -> None:
    for kind in kinds:
        attach(find_derivation(kind), world.given, Options(k=k), created="2031-05-06T07:08:09Z")


class Pages:
    """A browser on a snapshot, and the watch behind it."""

    def __init__(self, browser: TestClient[Any, Any], watch: SnapshotWatch) -> None:
        self.browser, self.watch = browser, watch

    async def get(self, address: str, **headers: str) -> tuple[int, str, str]:
        async with self.browser.get(address, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers.get("ETag", "")

    def look_until_listed_again(self) -> None:
        for _ in range(5):
            self.watch.look()


@pytest_asyncio.fixture
async def pages(world: World) -> AsyncIterator[Pages]:
    watch = SnapshotWatch(lambda: [world.manifest], interval=600)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        yield Pages(browser, watch)


@pytest.mark.asyncio
async def test_an_attachment_made_later_is_shown_and_changes_the_tag(
    world: World, pages: Pages
) -> None:
    status, before, tag = await pages.get(PAGE)
    assert (status, "Logit lens" in before, "Nearest" in before) == (200, False, False)
    attach_kinds(world, "logit_lens", "neighbours")
    pages.look_until_listed_again()
    status, html, _ = await pages.get(PAGE, **{"If-None-Match": tag})
    assert status == 200
    assert "Logit lens" in html
    decoder = world.dictionaries["sae"]["W_dec"]
    units = decoder / np.linalg.norm(decoder, axis=1, keepdims=True)
    cosines = units[2] @ units.T
    nearest = int(np.argsort(-cosines)[1])
    assert f'href="/runs/demo/features/sae/{nearest}"' in html.partition("Nearest directions")[2]
    assert f"{cosines[nearest]:.3f}" in html
    assert "sae-2:" in html
    _, text, _ = await pages.get(f"{PAGE}?format=json")
    shown = {panel["kind"]: panel for panel in json.loads(text)["cluster"]["attached"]}
    folded, raw = shown["logit_lens"]["shown"]["lenses"]
    assert (folded["convention"], raw["convention"]) == ("folded", "raw")
    weights = world.weights["transformer.wte.weight"][: world.manifest.about["vocabulary"]]
    logits = weights @ decoder[2]
    assert [token["id"] for token in raw["top"]] == np.argsort(-logits)[:3].tolist()
    assert sum(each["count"] for each in raw["bins"]) == len(logits)


@pytest.mark.asyncio
async def test_a_cluster_of_several_and_another_feature_have_their_own(
    world: World, pages: Pages
) -> None:
    attach_kinds(world, "logit_lens", "norms")
    pages.look_until_listed_again()
    assert "Logit lens" not in (await pages.get("/runs/demo/odd/both"))[1]
    shown = json.loads((await pages.get(f"{PAGE}?format=json"))[1])["cluster"]["attached"]
    (norms,) = (panel["shown"] for panel in shown if panel["kind"] == "norms")
    arrays = world.dictionaries["sae"]
    lengths = [np.linalg.norm(arrays["W_dec"][2]), np.linalg.norm(arrays["W_enc"][:, 2])]
    assert [norms["decoder"], norms["encoder"]] == pytest.approx(lengths)
    assert (await pages.get(PAGE))[1] != (await pages.get("/runs/demo/features/sae/3"))[1]


@pytest.mark.asyncio
async def test_a_damaged_attachment_harms_its_panel_alone(world: World, pages: Pages) -> None:
    attach_kinds(world, "logit_lens", "neighbours")
    (file,) = Path(world.manifest.store).rglob("logit_lens-*.parquet")
    file.write_bytes(b"PAR1")
    pages.look_until_listed_again()
    status, html, _ = await pages.get(PAGE)
    assert status == 200
    assert "This attachment cannot be read." in html
    assert "Nearest directions" in html
    assert pages.watch.shelf.health == "ok"


def test_features_are_numbered_through_all_sources(world: World) -> None:
    snapshot = open_snapshot(world.manifest)
    assert feature_of(snapshot, 4) == Feature(4, "sae", 4)
    assert feature_of(snapshot, 5) is None  # a cluster of two
    sources = list(reversed(snapshot.about["sources"]))
    snapshot.about["sources"] = sources
    assert feature_of(snapshot, 4) == Feature(9, "sae", 4)


def test_attachments_are_listed_at_every_fifth_look(world: World) -> None:
    watch = SnapshotWatch(lambda: [world.manifest], interval=600)
    watch.look()
    listed = attachments_of(watch.shelf.snapshots["demo"])
    assert listed.now() == ()
    attach_kinds(world, "norms")
    counts = []
    for _ in range(5):
        watch.look()
        counts.append(len(listed.known))
    assert counts == [0, 0, 0, 0, 1]
