"""The page of a run's dictionaries: the numbers of the comparison, features of a domain."""

import json
from pathlib import Path

import pytest

from downstream.analysis.dictionaries import compare_dictionaries
from downstream.analysis.domain_features import domain_features
from downstream.dashboard.watch import SnapshotWatch
from tests.downstream.analysis.domain_runs import Run
from tests.downstream.dashboard.test_app import browser_of, fetched


@pytest.mark.asyncio
async def test_dictionaries_and_domains_of_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path, rankings=("maximum", "shared=1000"))
    expected = compare_dictionaries(run.snapshot)
    answer = domain_features(run.snapshot, "code", "prose", top=20).table.to_pylist()
    name = run.manifest.run
    async with browser_of(SnapshotWatch(lambda: [run.manifest], interval=60)) as browser:
        asked = f"/dictionaries/{name}?domain=code&against=prose"
        found = json.loads((await fetched(browser, f"{asked}&format=json"))[1])
        for table in ("dictionaries", "leaders", "specialists", "overlap"):
            assert found[table] == expected.tables[table].to_pylist()
        assert found["domain"]["features"] == answer
        status, html = await fetched(browser, asked)
        assert status == 200
        for row in expected.tables["leaders"].to_pylist():
            assert f'/runs/{name}/features/{row["source"]}/{row["index"]}"' in html
        assert "Features of a domain" in html
        assert f">{answer[0]['clustering'].partition('/')[2]}:{answer[0]['label']}</a>" in html
        status, html = await fetched(browser, f"/dictionaries/{name}?domain=%3Cb%3E")
        assert status == 200
        assert "there is no domain" in html
        assert "<b>" not in html
        assert f'href="/dictionaries/{name}"' in (await fetched(browser, f"/runs/{name}/"))[1]
        assert (await fetched(browser, "/dictionaries/none"))[0] == 404
