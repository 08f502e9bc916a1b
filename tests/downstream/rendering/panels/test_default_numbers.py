"""A page of a feature of a run with all default numbers: each panel stands there, and is whole."""

import re
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from consumers.oracle.oracle import Oracle
from consumers.snapshots.snapshots import write_plain
from downstream.dashboard.app import make_app
from downstream.dashboard.watch import SnapshotWatch
from downstream.derived.attach import attach
from downstream.derived.correlated_neurons import CorrelatedNeurons
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import read_dictionary
from downstream.reading.snapshot import Snapshot
from downstream.rendering.panels.panel import StatisticPanel
from downstream.rendering.panels.registry import PANELS
from tests import factories
from tests.consumers.default_measures import default_measures

SOURCES = (
    factories.source(components=6),
    factories.source("mlp", components=4, kind="neurons", sign="absolute"),
)
HEADINGS = (
    "Correlated neurons",
    "By domain",
    "Distribution where it is active",
    "Largest activation of a row",
    "Activation by position",
    "Position of the largest activation",
    "First and last in the corpus",
)


@pytest.mark.asyncio
async def test_every_panel_of_default_numbers_is_on_the_page(tmp_path: Path) -> None:
    plan = factories.plan(
        sources=SOURCES,
        clusterings=(),
        bucket_bytes=10**7,
        record_bytes=2**25,
        **default_measures(clusters=10, k=5),
    )
    oracle = Oracle(plan, factories.DenseEngine(plan))
    for batch in factories.with_domains(factories.batches()):
        oracle.add(batch)
    manifest = write_plain(
        plan, oracle.tables([b"a"] * factories.VOCABULARY), "final", str(tmp_path)
    )
    given = Given(Snapshot(manifest), read_dictionary)
    attach(CorrelatedNeurons(), given, Options(), created="2031-05-06T00:00:00+00:00")
    density = given.snapshot.clusters["activation_density"].to_pylist()
    feature = next(number for number in range(6) if density[number])
    watch = SnapshotWatch(lambda: [manifest], interval=600)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:
        async with browser.get(f"/runs/test/features/sae/{feature}") as answer:
            html = await answer.text()
        async with browser.get(f"/runs/test/features/sae/{feature}?format=json") as answer:
            attached = (await answer.json())["cluster"]["attached"]
    found = [re.sub(r"\s*<.*", "", each) for each in re.findall(r"<h2>(.*)</h2>", html)]
    assert [each for each in found if each in HEADINGS] == list(HEADINGS)
    assert {each["problem"] for each in attached} == {""}
    tables = {each.table for each in PANELS if isinstance(each, StatisticPanel)}
    kinds = {each["kind"] for each in attached}
    assert kinds == {*tables, "correlated_neurons"} - {"noise_robustness"}
