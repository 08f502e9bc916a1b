"""The page that tries a text: a model service's answer, or what to do without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from downstream.dashboard.app import make_app
from downstream.dashboard.model_client import ModelClient
from downstream.dashboard.watch import SnapshotWatch
from streams.asking.answer import (
    ActiveFeature,
    Answer,
    AnsweringSource,
    FeatureValues,
    TextAnswer,
    TokenFeature,
)
from streams.asking.effects import Effect, Shift, Steered, Strength
from streams.snapshots.manifests import RunManifest
from tests.downstream.dashboard.model_answers import ABLATED, CONCEPT, body, with_contents

ANSWER = Answer(
    (AnsweringSource("sae", "dictionary", "hook", 5),),
    "total",
    (),
    (
        TextAnswer(
            "a <b>",
            (0, 1),
            ("a", " <b>\u202e"),
            (False, True),
            (0,),
            1,
            (ActiveFeature("sae", 2, 1.5, 1.5, 1, 1.5, 0, 1),),
            ((), (TokenFeature("sae", 2, 1.5),)),
            (FeatureValues("sae", 2, (None, 1.5)),),
        ),
    ),
)


@pytest.fixture
def named(manifest: RunManifest) -> RunManifest:
    return with_contents(manifest)


@asynccontextmanager
async def pages(manifest: RunManifest, told: Any = None) -> AsyncIterator[TestClient[Any, Any]]:
    """Yield the pages, over a model service that answers ``told``, (status, body), if any."""
    asked: list[Any] = []

    async def ask(request: web.Request) -> web.Response:
        asked.append((await request.json(), request.headers.get("Authorization")))
        return web.json_response(told[1], status=told[0])

    service = web.Application()
    service.router.add_post("/ask", ask)
    service.router.add_post("/steer", ask)
    service.router.add_post("/ablate", ask)
    service.router.add_post("/concept", ask)
    watch = SnapshotWatch(lambda: [manifest], interval=60)
    watch.look()
    async with TestServer(service) as server:
        model = ModelClient(str(server.make_url("/")), "a-secret-token") if told else None
        if told == "away":
            await server.close()
        async with TestClient(TestServer(make_app(watch, model=model))) as browser:
            browser.asked = asked  # type: ignore[attr-defined]
            yield browser


async def tried(browser: TestClient[Any, Any], **query: str) -> tuple[int, str]:
    async with browser.get("/try/demo", params=query) as found:
        assert found.headers["Cache-Control"] == "no-store"
        return found.status, await found.text()


@pytest.mark.asyncio
async def test_without_a_model_service_the_page_says_how_to_start_one(
    named: RunManifest,
) -> None:
    async with pages(named) as browser:
        status, html = await tried(browser, text="<script>")
        assert status == 200
        assert "millrace serve-model --snapshot STORE --run demo" in html
        assert "<script>" not in html.replace('<script src="/static/page.js" defer>', "")
        for address in ("/", "/runs/demo/features/sae/2"):
            async with browser.get(address) as page:
                assert 'action="/try/demo"' in await page.text()
        async with browser.get("/try/nobody") as page:
            assert page.status == 404


@pytest.mark.asyncio
async def test_a_text_is_shown_by_token_and_by_feature(named: RunManifest) -> None:
    async with pages(named, (200, body(named, asdict(ANSWER)))) as browser:
        status, html = await tried(browser, text="a <b>", feature="sae:2")
        assert status == 200
        assert browser.asked == [  # type: ignore[attr-defined]
            (
                {"texts": ["a <b>"], "top": 12, "per_token": 3, "features": ["sae:2"]},
                "Bearer a-secret-token",
            )
        ]
        assert '<span class="t " title="does not count">a</span>' in html
        assert 'class="t a16" title="sae:2 1.5; sae:2 1.5"' in html
        assert "<b>" not in html
        assert "\u202e" not in html
        assert 'href="/runs/demo/features/sae/2"' in html
        async with browser.get("/try/demo", params={"text": "a", "format": "json"}) as found:
            assert (await found.json())["answer"]["features"][0]["index"] == 2
        assert (await tried(browser, text="a" * 2001))[0] == 400


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("away", "The model service cannot be reached"),
        ((400, {"error": "there is no feature SAE:9"}), "There is no feature SAE:9."),
        ((503, {"error": "64 questions wait for the model: ask again later"}), "questions wait"),
        ((500, ["?"]), "The model service says 500"),
        ((200, {"answer": 1}), "is no answer"),
        ("other", "another model or other dictionaries than this run"),
        ("short", "is no answer"),
    ],
)
async def test_what_is_no_answer_of_this_model_is_said(
    told: Any, said: str, named: RunManifest
) -> None:
    if told == "other":
        told = (200, body(named, asdict(ANSWER), content="another"))
    if told == "short":
        answer = asdict(ANSWER)
        answer["texts"][0]["counted"] = ()
        told = (200, body(named, answer))
    async with pages(named, told) as browser:
        status, html = await tried(browser, text="a")
        assert status == 200
        assert said in html
        assert "Most active" not in html


STEERED = Steered(
    "sae:2",
    2.0,
    1.0,
    (Strength(0.0, 0.0, 1.0, 0.0, (" plain",)), Strength(1.0, 0.5, 0.5, 0.5, (" <b>more\u202e",))),
    (Effect("sae", 2, 0.25, 0.0, 1, 0, (Shift(" <i>", 3, 0.5),)),),
)


@pytest.mark.asyncio
async def test_a_prompt_is_continued_with_a_feature_and_without(named: RunManifest) -> None:
    query = {"feature": "sae:2", "prompt": "one", "alphas": "1"}
    async with pages(named, (200, body(named, asdict(STEERED)))) as browser:
        async with browser.get("/steer/demo", params=query) as page:
            assert page.status == 200
            html = await page.text()
        (asked,) = browser.asked  # type: ignore[attr-defined]
        assert asked[0]["alphas"] == [1.0]
        assert asked[0]["scale"] > 0
        assert " plain</td>" in html
        assert "&lt;b&gt;more" in html
        assert "best</span>" in html
        assert [part for part in ("<b>", "<i>", "\u202e") if part in html] == []
        for wrong in (
            {"alphas": "x"},
            {"alphas": "1e9"},
            {"feature": "sae:99"},
            {"feature": "odd"},
        ):
            async with browser.get("/steer/demo", params=query | wrong) as page:
                assert page.status == 400
        async with browser.get("/runs/demo/features/sae/2") as page:
            assert 'href="/steer/demo?feature=sae%3A2"' in (await page.text())
    async with pages(named, (200, body(named, asdict(STEERED), content="another"))) as browser:
        async with browser.get("/steer/demo", params=query) as page:
            html = await page.text()
        assert "another model or other dictionaries" in html
        assert "plain</td>" not in html
    async with pages(named) as browser, browser.get("/steer/demo", params=query) as page:
        assert "millrace serve-model" in await page.text()


@pytest.mark.asyncio
async def test_features_are_ablated_and_the_largest_effect_is_first(named: RunManifest) -> None:
    told = (200, body(named, asdict(ABLATED)))
    query = {"text": "one", "features": "sae:2, sae:3", "by": "clamp", "value": "2.5"}
    async with pages(named, told) as browser:
        async with browser.get("/ablate/demo", params=query) as page:
            assert page.status == 200
            html = await page.text()
        (asked,) = browser.asked  # type: ignore[attr-defined]
        wanted = {"texts": ["one"], "features": ["sae:2", "sae:3"], "top": 20}
        assert asked[0] == wanted | {"by": "clamp", "value": 2.5}
        assert '<a href="/runs/demo/features/sae/2">sae:2</a>' in html
        assert "&lt;b&gt;:99" in html
        assert html.index("&lt;b&gt;:99") > html.index("sae:2</a>")
        assert 'width="26.0"' in html  # half of the largest
        assert "Over 7 tokens" in html
        assert [part for part in ("<b>", "<i>", "\u202e") if part in html] == []
        async with browser.get("/ablate/demo", params=query | {"format": "json"}) as found:
            assert (await found.json())["answer"]["effects"][1]["kl"] == 0.125
        for wrong in (
            {"by": "fame"},
            {"value": "x"},
            {"value": "inf"},
            {"features": "sae:1 " * 65},
            {"text": "a" * 2001},
        ):
            async with browser.get("/ablate/demo", params=query | wrong) as page:
                assert page.status == 400
        async with browser.get("/runs/demo/features/sae/2") as page:
            assert 'href="/ablate/demo?features=sae%3A2"' in await page.text()
        async with browser.get("/") as page:
            assert 'href="/ablate/demo"' in await page.text()
    async with pages(named) as browser, browser.get("/ablate/demo", params=query) as page:
        assert "millrace serve-model" in await page.text()


@pytest.mark.asyncio
async def test_features_of_a_concept_are_listed_with_what_was_held_back(named: RunManifest) -> None:
    told = (200, body(named, asdict(CONCEPT)))
    query = {"present": "one\r\n\r\n two", "absent": "three\nfour", "by": "mean"}
    async with pages(named, told) as browser:
        async with browser.get("/concept/demo", params=query) as page:
            assert page.status == 200
            html = await page.text()
        (asked,) = browser.asked  # type: ignore[attr-defined]
        sides = {"present": ["one", " two"], "absent": ["three", "four"]}
        assert asked[0] == sides | {"by": "mean", "held_back": 0.5, "top": 20}
        assert '<a href="/runs/demo/features/sae/2">sae:2</a>' in html
        assert '0.875 <span class="kind">0.60 to 0.98</span>' in html
        assert '0.750 <span class="kind">0.40 to 0.90</span>' in html
        assert "&lt;b&gt;:99" in html
        assert "<b>" not in html
        assert "2 texts with and 3 without; 2 and 2 were held back. 1 of 5 features" in html
        async with browser.get("/concept/demo", params=query | {"format": "json"}) as found:
            answer = await found.json()
        assert answer["present"] == sides["present"]
        assert answer["answer"]["features"][0]["held_back"]["auroc"] == 0.75
        for wrong in ({"by": "fame"}, {"check": "all"}, {"absent": "a" * 4001}):
            async with browser.get("/concept/demo", params=query | wrong) as page:
                assert page.status == 400
        async with browser.get("/concept/demo") as page:
            assert 'role="alert"' not in await page.text()
        async with browser.get("/") as page:
            assert 'href="/concept/demo"' in await page.text()
    told = (400, {"error": "1 texts with the concept, 0 of them held back: each part needs 2"})
    one = {"present": "one"}
    async with pages(named, told) as browser, browser.get("/concept/demo", params=one) as page:
        assert "1 texts with the concept, 0 of them held back" in await page.text()
    async with pages(named) as browser, browser.get("/concept/demo", params=query) as page:
        assert "millrace serve-model" in await page.text()
