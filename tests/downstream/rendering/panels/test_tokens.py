"""Tokens on pages: the panel of a cluster, and the clusters of a token in a search."""

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from downstream.dashboard.app import make_app
from downstream.dashboard.finding import find
from downstream.dashboard.watch import SnapshotWatch
from downstream.rendering.attached import attachments_of
from downstream.rendering.opening import open_snapshot
from tests.downstream.derived.test_tokens import attached, opened, plain


@pytest.mark.asyncio
async def test_pages_show_the_tokens_of_a_feature_and_a_search_the_features_of_a_token(
    tmp_path: Path,
) -> None:
    plan, snapshot = opened(tmp_path)
    expected, manifest = plain(plan), snapshot.manifest
    token = max(expected, key=lambda pair: expected[pair]["firing_tokens"])[1]
    loaded = open_snapshot(manifest)
    clustering = loaded.clusterings[0]
    before = find(loaded, clustering, f"token:w{token}")
    assert not before.active.any()
    attached(snapshot, k=2)
    attachments_of(loaded).list_again()
    found = find(loaded, clustering, f"token:w{token}")
    counts = [
        expected.get((cluster, token), {"firing_tokens": 0})["firing_tokens"]
        for cluster in range(clustering.first, clustering.stop)
    ]
    assert found.active.tolist() == counts
    assert (found.keep == before.keep | (found.active > 0)).all()
    order = found.order().tolist()
    assert [counts[at] for at in order] == sorted((counts[at] for at in order), reverse=True)
    feature = order[0]
    (best,) = snapshot.feature(feature).tokens(1).to_pylist()
    watch = SnapshotWatch(lambda: [manifest], interval=600)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        address = f"/runs/{manifest.run}/features/sae/{feature}"
        async with browser.get(address) as answer:
            html = await answer.text()
        async with browser.get(address, params={"format": "json"}) as answer:
            (panel,) = (await answer.json())["cluster"]["attached"]
        async with browser.get(
            f"/runs/{manifest.run}/features/sae/", params={"q": f"token:w{token}"}
        ) as answer:
            listed = await answer.text()
    assert "Active at tokens" in html
    assert f"active at {counts[feature]} of the tokens looked at" in listed
    shown = panel["shown"]["tokens"]
    assert len(shown) == 2
    assert shown[0]["id"] == best["token"]
    assert shown[0]["pmi"] == pytest.approx(best["pmi"])
    assert shown[0]["text"] == best["text"]
