"""Searches by concept on pages: ranked as attached vectors say, and nothing without them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from downstream.dashboard.app import make_app
from downstream.dashboard.list_query import query_of
from downstream.dashboard.model_client import ModelClient
from downstream.dashboard.search_words import Wanted, wanted_of
from downstream.dashboard.watch import SnapshotWatch
from downstream.derived.attach import write_derived
from downstream.labelling.cluster_embeddings import cluster_embeddings
from downstream.reading.embeddings import EMBEDDINGS
from downstream.reading.snapshot import Snapshot
from streams.snapshots.manifests import RunManifest
from tests.downstream.dashboard.model_answers import body, with_contents
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.labelling.sentences import stand_in, word_hashes

CONTENT = "c" * 64
ADDRESS = "/runs/demo/features/sae/"


@pytest.fixture
def bare(tmp_path: Path) -> RunManifest:
    return with_contents(write_snapshot(str(tmp_path), small()))


@pytest.fixture
def manifest(bare: RunManifest) -> RunManifest:
    snapshot = Snapshot(bare)
    made = cluster_embeddings(snapshot, stand_in(CONTENT))
    write_derived("embeddings", snapshot, made, created="2031", name="default")
    return bare


def embedded(text: str, **changes: Any) -> dict[str, Any]:
    vectors = [word_hashes([text])[0].tolist()]
    return {"model": "word hashes", "content": CONTENT, "vectors": vectors, **changes}


@asynccontextmanager
async def pages(
    manifest: RunManifest, changes: dict[str, Any] | None = None, raw: Any = None
) -> AsyncIterator[TestClient[Any, Any]]:
    """Yield pages over a service that embeds; changes: of its answer. raw: status and body."""

    async def embed(request: web.Request) -> web.Response:
        asked.append(await request.json())
        if raw:
            return web.Response(status=raw[0], text=raw[1], content_type="application/json")
        (text,) = asked[-1]["texts"]
        return web.json_response(body(manifest, embedded(text, **(changes or {}))))

    asked: list[Any] = []
    service = web.Application()
    service.router.add_post("/embed", embed)
    watch = SnapshotWatch(lambda: [manifest], interval=60)
    watch.look()
    async with TestServer(service) as server:
        model = ModelClient(str(server.make_url("/")))
        async with TestClient(TestServer(make_app(watch, model=model))) as browser:
            browser.asked = asked  # type: ignore[attr-defined]
            yield browser


async def listed(browser: TestClient[Any, Any], **query: str) -> dict[str, Any]:
    async with browser.get(ADDRESS, params={"format": "json", **query}) as answer:
        assert answer.status == 200
        assert "ETag" not in answer.headers
        found: dict[str, Any] = (await answer.json())["listing"]
        return found


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        ("concept: legal language", Wanted(concept="legal language")),
        ('concept:"a token:b" c', Wanted(concept="a token:b", anywhere="c")),
        ("concept:cats and dogs token:the", Wanted(concept="cats and dogs", token="the")),
        ("token:the concept:cats", Wanted(concept="cats", token="the")),
        ("label:x cats concept:", Wanted(label="x", anywhere="cats")),
        ("token:import", Wanted(token="import")),
        ('text:"for loop" yield', Wanted(text="for loop", anywhere="yield")),
    ],
)
def test_a_concept_takes_all_words_up_to_the_next_place(search: str, wanted: Wanted) -> None:
    assert wanted_of(search) == wanted
    assert query_of({"q": search}).concept == wanted.concept


@pytest.mark.asyncio
async def test_the_list_is_ranked_by_the_larger_cosine_and_shows_it(manifest: RunManifest) -> None:
    rows = Snapshot(manifest).attachment("embeddings")["embeddings"].to_pylist()
    query = word_hashes(["the cat sat"])[0].astype(np.float64)
    expected = {
        row["cluster"]: max(
            float(np.frombuffer(row[name], "<f2").astype(np.float64) @ query)
            for name in ("label_vector", "contexts_vector")
            if row[name]
        )
        for row in rows
        if row["cluster"] < 5
    }
    ranked = sorted(expected, key=lambda cluster: -expected[cluster])
    async with pages(manifest) as browser:
        found = await listed(browser, q="concept: the cat sat")
        assert browser.asked == [{"texts": ["the cat sat"]}]  # type: ignore[attr-defined]
        assert [row["number"] for row in found["rows"]] == ranked
        for row in found["rows"]:
            assert row["more"]["similarity"] == pytest.approx(expected[row["number"]], abs=1e-5)
        upside_down = await listed(browser, q="concept: the cat sat", sort="similarity")
        assert [row["number"] for row in upside_down["rows"]] == ranked[::-1]
        least = (expected[ranked[0]] + expected[ranked[1]]) / 2
        bounded = await listed(browser, q="concept: the cat sat", similarity_from=f"{least}")
        assert [row["number"] for row in bounded["rows"]] == ranked[:1]
        both = await listed(browser, q="concept: the cat sat token:the")
        assert {row["number"] for row in both["rows"]} < set(ranked)
        params = {"q": "concept: the <b>cat"}
        async with browser.get(ADDRESS, params=params) as answer:
            html = await answer.text()
        assert "Similarity" in html
        assert "<code>word hashes</code>" in html
        assert "<b>cat" not in html
        # A feature that was reached from the list goes on to the next in its order.
        label = str(ranked[0])
        async with browser.get(f"{ADDRESS}{label}", params={"q": "concept: the cat sat"}) as answer:
            assert f"/sae/{ranked[1]}?q=concept" in await answer.text()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"content": "d" * 64}, "dddddddddddd"),
        ({"content": "d" * 64, "model": "<i>other"}, "sentence model <i>other"),
        ({"vectors": [[1.0, 0.0]]}, "answers with 2 numbers, the attached vectors have 24"),
        ({"vectors": []}, "is no answer"),
        ({"vectors": [[1.0], [1.0]]}, "is no answer"),
        ({"vectors": [[0.0] * 24]}, "is no answer"),
        ({"vectors": [[2.0] * 24]}, "is no answer"),
        ({"vectors": [["x"]]}, "is no answer"),
        ({"vectors": [[1.0] + [0.0] * 4096]}, "is no answer"),
    ],
)
async def test_what_cannot_be_compared_is_said_and_nothing_is_ranked(
    manifest: RunManifest, changes: dict[str, Any], said: str
) -> None:
    async with pages(manifest, changes) as browser:
        found = await listed(browser, q="concept: cats")
        assert said in found["problem"]
        assert found["rows"] == []
        async with browser.get(ADDRESS, params={"q": "concept: cats"}) as answer:
            html = await answer.text()
        assert "millrace embed STORE --run demo" in html
        assert "<i>" not in html


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ((200, '{"answer": {"model": "m", "content": "c", "vectors": [[NaN]]}}'), "is no answer"),
        ((200, "["), "is no answer"),
        ((501, '{"error": "no sentence model is installed: pip install x"}'), "pip install x."),
        ((404, '{"error": "Not Found"}'), "Not Found."),
    ],
)
async def test_a_service_that_does_not_embed_is_quoted(
    manifest: RunManifest, raw: tuple[int, str], said: str
) -> None:
    async with pages(manifest, raw=raw) as browser:
        found = await listed(browser, q="concept: cats")
        assert said in found["problem"]
        assert found["rows"] == []


@pytest.mark.asyncio
async def test_without_vectors_or_a_service_the_page_says_how_to_get_them(
    bare: RunManifest,
) -> None:
    async with pages(bare) as browser:
        assert "No vectors are attached" in (await listed(browser, q="concept: cats"))["problem"]
        snapshot = Snapshot(bare)
        made = cluster_embeddings(snapshot, stand_in(CONTENT))
        wrong = made.tables[EMBEDDINGS].slice(1)
        bad = {**made.provenance, "width": 7}
        write_derived(
            "embeddings", snapshot, type(made)({EMBEDDINGS: wrong}, bad), created="2031", name="bad"
        )
    watch = SnapshotWatch(lambda: [bare], interval=60)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        assert "these pages have none" in (await listed(browser, q="concept: cats"))["problem"]
    async with pages(bare) as browser:
        assert "cannot be read" in (await listed(browser, q="concept: cats"))["problem"]
