"""The OpenAPI document, held against what is answered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator, ValidationError

from downstream.dashboard.openapi import document
from downstream.dashboard.watch import SnapshotWatch
from tests.downstream.dashboard.maps import attach_map
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot
from tests.downstream.dashboard.test_app import Browser, browser_of

ANSWERED = {
    "/runs/": ["/runs/?format=json"],
    "/runs/{run}/": ["/runs/demo/?format=json", "/runs/demo@final/?format=json"],
    "/runs/{run}/{clustering}/": [
        "/runs/demo/odd/?format=json&q=both&max_from=1&columns=x&domain=prose"
    ],
    "/runs/{run}/{clustering}/{label}": [
        "/runs/demo/odd/both?format=json",
        "/runs/demo/odd/nobody?format=json",
        "/runs/demo/features/sae/3?format=json",
    ],
    "/components/{run}/{source}": ["/components/demo/sae?format=json"],
    "/maps/{run}/{clustering}/": [
        "/maps/demo/odd/?format=json",
        "/maps/demo/features/sae/?format=json&colour=max",
    ],
    "/compare/": [
        "/compare/?format=json",
        "/compare/?format=json&from=odd&to=features/sae&least=0&left=0&right=1",
    ],
    "/dictionaries/{run}": [
        "/dictionaries/demo?format=json",
        "/dictionaries/demo?format=json&domain=prose",
    ],
    "/try/{run}": ["/try/demo?format=json&text=one"],
    "/start/": ["/start/?format=json"],
    "/steer/{run}": ["/steer/demo?format=json&feature=sae:2&prompt=one"],
    "/ablate/{run}": ["/ablate/demo?format=json&features=sae:2&text=one&by=mean"],
    "/concept/{run}": ["/concept/demo?format=json&present=one&absent=two&check=none"],
    "/healthz": ["/healthz"],
    "/state": ["/state"],
}


@pytest_asyncio.fixture
async def browser(tmp_path: Path, given: Given) -> AsyncIterator[Browser]:
    manifest = write_snapshot(str(tmp_path), given)
    attach_map(manifest)
    async with browser_of(SnapshotWatch(lambda: [manifest], interval=60)) as each:
        yield each


def expect(value: Any, schema: dict[str, Any]) -> None:
    """Raise ValidationError if a value is not of a schema that refers to those of the document."""
    whole = {**schema, "components": document()["components"]}
    Draft202012Validator(whole).validate(value)


@pytest.mark.parametrize(
    "body", [{"status": "ok", "problems": {}}, {"status": "?", "runs": 1, "problems": {}}]
)
def test_what_does_not_fit_is_found(body: Any) -> None:
    with pytest.raises(ValidationError):
        expect(body, {"$ref": "#/components/schemas/Health"})


@pytest.mark.asyncio
async def test_every_answer_is_as_the_document_says(browser: Browser) -> None:
    async with browser.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    assert paths.keys() == ANSWERED.keys()
    for path, addresses in ANSWERED.items():
        content = paths[path]["get"]["responses"]["200"]["content"]
        for address in addresses:
            async with browser.get(address) as answer:
                assert answer.status == 200
                expect(await answer.json(), content["application/json"]["schema"])
    async with browser.get("/runs/none/?format=json") as answer:
        expect(await answer.json(), {"$ref": "#/components/schemas/Problem"})
