"""Maps: features by their place, clusters by their co-activation; and the library that draws."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from downstream.dashboard.labels import Marks
from downstream.dashboard.pair_map import pair_map
from downstream.dashboard.point_map import LEVELS, STEPS, levels, point_map
from downstream.dashboard.watch import SnapshotWatch
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from downstream.rendering.peaks import peak_text
from streams.snapshots.annotations import ClusterAnnotations
from tests.downstream.dashboard.maps import PLACES, attach_map
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot
from tests.downstream.dashboard.test_app import browser_of, fetched


@pytest.fixture
def mapped(tmp_path: Path, given: Given) -> LoadedSnapshot:
    """The small snapshot with a map of its features."""
    manifest = write_snapshot(str(tmp_path), given)
    attach_map(manifest)
    return open_snapshot(manifest)


def test_points_stand_where_the_attachment_says(mapped: LoadedSnapshot) -> None:
    marks = Marks({2: ClusterAnnotations(label="word endings")})
    found = point_map(mapped, mapped.clusterings[0], "density", marks)
    assert found is not None
    assert found.number == list(PLACES)
    for step, span, axis in ((found.x, found.span_x, 0), (found.y, found.span_y, 1)):
        places = [span[0] + one / STEPS * (span[1] - span[0]) for one in step]
        assert places == pytest.approx([place[axis] for place in PLACES.values()], abs=1e-3)
    tokens = [found.texts[one].strip() for one in found.token]
    for number, token in zip(found.number, tokens, strict=True):
        assert token in peak_text(mapped, number).split(" · ")
    assert found.names == {2: "word endings"}
    densest = int(np.argmax(mapped.densities[:3]))
    assert found.level[densest] == max(found.level) == LEVELS
    written = point_map(mapped, mapped.clusterings[0], "written", marks)
    assert written is not None
    assert written.level == [1, 1, LEVELS]
    assert point_map(mapped, mapped.clusterings[1], "density", marks) is None


def test_levels_rise_with_the_value_and_say_what_is_not_known() -> None:
    values = np.array([0.0, np.nan, *np.logspace(-6, -1, 500)])
    level, low, high = levels(values, logarithmic=True)
    assert level[:2].tolist() == [0, 0]
    assert (np.diff(level[2:]) >= 0).all()
    assert set(level[2:].tolist()) == set(range(1, LEVELS + 1))
    assert 1e-6 < low < 2e-6 < 0.05 < high < 0.1
    assert levels(np.array([3.0, 3.0]), logarithmic=False)[0].tolist() == [1, 1]
    assert levels(np.array([np.nan]), logarithmic=False)[0].tolist() == [0]


def test_pairs_are_those_of_the_values(snapshot: LoadedSnapshot, given: Given) -> None:
    found = pair_map(snapshot, "demo", snapshot.clusterings[1])
    assert found is not None
    fires = {}
    for name, label, members in given.clusters:
        if name == "odd":
            live = [member for member in members if member not in given.dropped]
            fires[label] = (given.values[live] != 0).any(axis=0)
    expected = {
        (a, b): (fires[a] & fires[b]).sum() / (fires[a] | fires[b]).sum()
        for a in fires
        for b in fires
        if a != b and (fires[a] & fires[b]).any()
    }
    pairs = zip(found.a, found.b, found.score, strict=True)
    shown = {(found.labels[a], found.labels[b]): score for a, b, score in pairs}
    assert shown == pytest.approx(expected, abs=1e-4)
    assert sorted(found.labels) == sorted(label for label in fires if fires[label].any())
    assert not found.sampled


@pytest.mark.asyncio
async def test_maps_have_addresses_and_hostile_ones_are_not_found(mapped: LoadedSnapshot) -> None:
    async with browser_of(SnapshotWatch(lambda: [mapped.manifest], interval=60)) as browser:
        for address in ("/maps/demo/features/sae/", "/maps/demo/odd/", "/maps/demo/"):
            status, html = await fetched(browser, address)
            assert status == 200
            assert 'src="/static/uplot/uPlot.iife.min.js"' in html
        assert (await fetched(browser, "/maps/demo/features/sae"))[0] == 200  # sent on
        for address in ("/maps/", "/maps/none/", "/maps/demo/odd/x", "/maps/demo/odd/?iteration=9"):
            assert (await fetched(browser, address))[0] == 404
        assert (await fetched(browser, "/static/uplot/uPlot.min.css"))[0] == 200


def test_the_library_that_draws_is_what_its_note_says() -> None:
    folder = files("downstream.rendering") / "static" / "uplot"
    listed = dict(re.findall(r"`(\S+)` \| `([0-9a-f]{64})`", (folder / "README.md").read_text()))
    assert set(listed) == {"uPlot.iife.min.js", "uPlot.min.css"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "MIT" in (folder / "LICENSE").read_text()
