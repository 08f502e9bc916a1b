"""The panel of noise robustness: from the snapshot's own tables, on pages of features alone."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiohttp.test_utils import TestClient, TestServer

from consumers.plan import make_plan
from consumers.snapshots.assembly import assemble_ready
from consumers.snapshots.snapshots import write_shard
from consumers.statistics.registry import optional_statistics
from downstream.dashboard.app import make_app
from downstream.dashboard.watch import SnapshotWatch
from downstream.reading.snapshot import Snapshot
from downstream.rendering.panels import noise
from streams.snapshots.manifests import FINAL
from streams.transport.connect import connect
from tests import factories
from tests.consumers.folding import folded_states
from tests.published import publish


def finished(store: Path) -> Any:
    """Return the final snapshot of a run with two sizes of noise, from drawn measurements."""
    base, more = factories.run_record(), optional_statistics(["noise_robustness=sizes:2"])
    plan = make_plan(replace(base, statistics=(*base.statistics, *more), store=str(store)))
    client, batches = connect("memory://noise-panel"), factories.batches()
    publish(client, plan.run, batches)
    states = folded_states(plan, factories.DenseEngine(plan), batches)
    for shard, group in groupby(states, lambda state: state.shard):
        write_shard(plan, FINAL, shard, list(group), client)
    (manifest,) = assemble_ready(plan, client, 1.0).made
    return manifest


@pytest.mark.asyncio
async def test_a_features_page_shows_what_noise_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = finished(tmp_path)
    snapshot = Snapshot(manifest)
    rows = snapshot.table("noise_robustness").to_pylist()
    feature = rows[0]["feature"]
    own = [row for row in rows if row["feature"] == feature]
    sets = {row["size"]: row["jaccard"] for row in snapshot.table("noise_sets").to_pylist()}
    watch = SnapshotWatch(lambda: [manifest], interval=600)
    watch.look()
    async with TestClient(TestServer(make_app(watch))) as browser:

        async def page(address: str) -> tuple[str, list[Any]]:
            async with browser.get(f"/runs/test/{address}") as answer:
                html = await answer.text()
            async with browser.get(f"/runs/test/{address}?format=json") as answer:
                return html, (await answer.json())["cluster"]["attached"]

        html, (panel,) = await page(f"features/sae/{feature}")
        assert "Noise on the hook" in html
        assert (panel["kind"], panel["problem"]) == ("noise_robustness", "")
        assert panel["shown"]["levels"] == [
            {
                **{name: row[name] for name in ("size", "flipped", "gained_tokens", "mean_change")},
                "jaccard": sets[row["size"]],
            }
            for row in own
        ]
        assert [level["size"] for level in panel["shown"]["levels"]] == [0.1, 0.2]
        assert (await page("groups/a"))[1] == []
        broken = pa.table({"feature": [feature], "size": [0.1], "flipped": [float("nan")]})
        monkeypatch.setattr(noise, "read_table", lambda *_, **__: broken.slice(0, 1))
        html, (panel,) = await page(f"features/sae/{feature}")
        assert panel["shown"] is None
        assert "This table cannot be read." in html
