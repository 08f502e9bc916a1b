"""Changes on the compare page: those that ``millrace diff`` finds, compared now or attached."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import millrace
from downstream.dashboard import changes as module
from downstream.dashboard.changes import Change, Changes, changed_examples, changes
from downstream.dashboard.comparison_pairs import Part
from downstream.dashboard.watch import SnapshotWatch
from downstream.derived.differences import Differences, compare
from downstream.reading.snapshot import Snapshot
from downstream.rendering.opening import open_snapshot
from millrace.comparing import attached, compared
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.dashboard.test_app import browser_of, fetched
from tests.downstream.derived.test_differences import changed_values


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two runs, of which one silenced a feature, renamed a cluster and lost examples."""
    write_snapshot(str(tmp_path), small(), run="one", k=2)
    write_snapshot(str(tmp_path), changed_values(), run="two", k=2)
    return tmp_path


@pytest.fixture(params=["compared now", "attached"])
def sides(request: pytest.FixtureRequest, store: Path) -> tuple[Snapshot, Snapshot]:
    if request.param == "attached":
        attached(compared(str(store / "one"), str(store / "two"), 1))
    return millrace.open(store, "one"), millrace.open(store, "two")


def parts(sides: Sequence[Snapshot], clustering: int) -> tuple[Part, Part]:
    a, b = (open_snapshot(one.manifest) for one in sides)
    return Part(a, a.clusterings[clustering]), Part(b, b.clusterings[clustering])


def plain(found: Differences, clustering: str) -> dict[str, tuple[object, ...]]:
    """Return what changed of each cluster of a clustering, by its label."""
    names = ("activation_density", "max_activation", "mean_activation")
    return {
        row["label"]: (
            *((row[f"{name}_a"], row[f"{name}_b"]) for name in names),
            *(row[name] for name in ("shared_examples", "came", "went")),
        )
        for row in found.clusters.to_pylist()
        if row["clustering"] == clustering and row["in_a"] and row["in_b"] and row["changed"]
    }


def shown(row: Change) -> tuple[object, ...]:
    return (row.density, row.high, row.mean, row.shared, row.came, row.went)


@pytest.mark.parametrize("clustering", [0, 1])
def test_clusters_that_changed_are_those_of_the_diff(
    sides: tuple[Snapshot, Snapshot], clustering: int
) -> None:
    a, b = parts(sides, clustering)
    page, found = changes(a, b, 1), compare(*sides)
    assert {row.link.label: shown(row) for row in page.rows} == plain(found, a.clustering.name)
    assert page.changed == len(page.rows) > 0
    ours = [row["label"] for row in found.most_changed(99)
            if row["clustering"] == a.clustering.name]  # fmt: skip
    assert [row.link.label for row in page.rows] == ours
    assert page.attached == bool(sides[1].attachments)


def test_examples_that_came_and_went_are_those_of_the_diff(
    sides: tuple[Snapshot, Snapshot],
) -> None:
    a, b = parts(sides, 0)
    rows = compare(*sides).examples.to_pylist()
    seen = 0
    for row in changes(a, b, 1).rows:
        expected = {
            (each["ranking"], each["change"], each["rank"], each["sample"].hex())
            for each in rows
            if (each["clustering"], each["label"]) == (a.clustering.name, row.link.label)
        }
        found = changed_examples(a, b, row.left, row.right)
        assert {(e.ranking, e.change, e.context.rank, e.context.sample) for e in found} == expected
        seen += len(found)
    assert seen


def test_what_takes_too_long_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HITS", 1)
    a, b = parts([millrace.open(store, run) for run in ("one", "two")], 0)
    assert "millrace diff A B --attach" in changes(a, b, 1).problem
    assert changed_examples(a, b, 0, 0) == ()


def test_clusterings_of_other_names_have_no_changes(store: Path) -> None:
    one, two = (open_snapshot(millrace.open(store, run).manifest) for run in ("one", "two"))
    asked = Part(one, one.clusterings[0]), Part(two, two.clusterings[1])
    assert changes(*asked, 1) == Changes(problem=module._OTHER_NAMES)


@pytest.mark.asyncio
async def test_a_page_shows_what_changed(store: Path) -> None:
    manifests = [millrace.open(store, run).manifest for run in ("one", "two")]
    async with browser_of(SnapshotWatch(lambda: list(manifests), interval=60)) as browser:
        address = "/compare/?a=one&b=two&from=odd&to=odd&show=changed"
        status, html = await fetched(browser, address)
        assert status == 200
        assert '<table class="list changes">' in html
        answer = json.loads((await fetched(browser, f"{address}&format=json"))[1])
        first = answer["changes"]["rows"][0]
        beside = f"{address}&left={first['left']}&right={first['right']}"
        assert "Examples that" in (await fetched(browser, beside))[1]
        same = await fetched(browser, address.replace("b=two", "b=one"))
        assert "None of the" in same[1]
