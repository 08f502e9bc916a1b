"""Matches of two clusterings, against comparing every pair."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from downstream.dashboard.compare_page import compare_page
from downstream.dashboard.comparison import Asked, asked_of, compared
from downstream.dashboard.comparison_pairs import (
    Pairs,
    Part,
    pairs_by_decoder,
    pairs_by_examples,
    pairs_by_label,
)
from downstream.dashboard.watch import Shelf, SnapshotWatch
from downstream.derived.attach import attach
from downstream.derived.derivation import Options
from downstream.derived.neighbours import Neighbours
from downstream.rendering.contexts import top_contexts
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from tests.downstream.dashboard.snapshot_files import Given, small, write_snapshot
from tests.downstream.dashboard.test_app import browser_of, fetched
from tests.downstream.derived.conftest import written

Scores = dict[tuple[int, int], float]


@pytest.fixture
def other(tmp_path: Path) -> LoadedSnapshot:
    """Another run over two of the three texts, whose features come in another order."""
    given = small()
    order = [2, 0, 1, 3, 4]
    rows = Given(given.rows[1:], given.vocabulary, given.values[order][:, 1:], given.clusters, {4})
    return open_snapshot(write_snapshot(str(tmp_path), rows, run="other"))


def scores(pairs: Pairs) -> Scores:
    listed = zip(pairs.a.tolist(), pairs.b.tolist(), pairs.score.tolist(), strict=True)
    return {(a, b): score for a, b, score in listed}


def plain(one: Part, two: Part, *, peaks: bool) -> list[list[set[tuple[str, int]]]]:
    """Return the best examples of every cluster of both: sample, and token at the peak."""
    return [
        [
            {
                (each.sample, each.tokens[each.peak].id if peaks else 0)
                for each in top_contexts(part.snapshot, cluster, "maximum", 50)
            }
            for cluster in range(part.clustering.first, part.clustering.stop)
        ]
        for part in (one, two)
    ]


def parts(one: LoadedSnapshot, two: LoadedSnapshot, a: int, b: int) -> tuple[Part, Part]:
    return Part(one, one.clusterings[a]), Part(two, two.clusterings[b])


@pytest.mark.parametrize(
    ("same", "a", "b"), [(True, 0, 1), (True, 1, 1), (False, 0, 0), (False, 1, 0)]
)
def test_pairs_by_examples_are_those_of_every_pair(
    snapshot: LoadedSnapshot, other: LoadedSnapshot, same: bool, a: int, b: int
) -> None:
    one, two = parts(snapshot, snapshot if same else other, a, b)
    mine, yours = plain(one, two, peaks=True)
    expected = {
        (i, j): len(x & y) / len(x | y)
        for i, x in enumerate(mine)
        for j, y in enumerate(yours)
        if x & y and (one.key, i) != (two.key, j)
    }
    assert scores(pairs_by_examples(one, two)) == pytest.approx(expected)
    assert expected


def test_pairs_by_label_are_those_of_every_pair(
    snapshot: LoadedSnapshot, other: LoadedSnapshot
) -> None:
    one, two = parts(snapshot, other, 1, 1)
    mine, yours = plain(one, two, peaks=False)
    expected = {
        (i, i): len(x & y) / len(x | y) if x | y else 1.0
        for i, (x, y) in enumerate(zip(mine, yours, strict=True))
    }
    assert scores(pairs_by_label(one, two)) == pytest.approx(expected)
    assert 0 < min(score for score in expected.values() if score) < 1


def test_pairs_by_decoder_are_cosines_of_the_named_dictionary(tmp_path: Path) -> None:
    world = written(tmp_path / "store", tmp_path / "weights")
    attach(Neighbours(), world.given, Options(k=2), created="2031-05-06T07:08:09Z")
    opened = open_snapshot(world.manifest)
    one = Part(opened, opened.clusterings[0])
    found = pairs_by_decoder(one, one)
    assert found is not None
    directions = world.dictionaries["sae"]["W_dec"]
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert len(scores(found)) == 2 * one.size
    for (a, b), score in scores(found).items():
        assert a != b
        assert score == pytest.approx(cosines[a, b], abs=1e-5)
    assert pairs_by_decoder(Part(opened, opened.clusterings[1]), one) is None


def test_every_cluster_that_fires_is_matched_or_of_one_side(
    snapshot: LoadedSnapshot, other: LoadedSnapshot
) -> None:
    one, two = parts(snapshot, other, 0, 0)
    fires = [int((part.snapshot.firing_tokens[:5] > 0).sum()) for part in (one, two)]
    for least in (0.0, 0.4, 1.1):
        shown = {
            show: compared(one, two, replace(asked_of({"least": str(least)}), show=show))
            for show in ("matched", "only_a", "only_b")
        }
        page = shown["matched"]
        assert page.matched + page.only_a == fires[0]
        assert len(page.rows) == page.matched
        assert len(shown["only_b"].rows) == page.only_b
        assert all(row.b is None for row in shown["only_a"].rows)
    best = compared(one, two, Asked(least=0.01))
    # Features 0, 1, 2 of one stand at 1, 2, 0 of the other.
    moved = {row.a.number: row.b.number for row in best.rows if row.a and row.b and row.mutual}
    assert moved[0] == 1
    assert moved[2] == 0
    changes = compared(one, two, Asked(sort="change")).rows
    ratio = [abs(np.log(r.a.density / r.b.density)) for r in changes if r.a and r.b]
    assert ratio == sorted(ratio, reverse=True)


def test_what_nobody_attached_is_said(snapshot: LoadedSnapshot) -> None:
    one, two = parts(snapshot, snapshot, 0, 0)
    page = compared(one, two, asked_of({"by": "decoder", "least": "nan"}))
    assert "millrace derive neighbours" in page.problem
    assert (page.matched, page.asked.least) == (0, 0.7)


@pytest.mark.asyncio
async def test_two_runs_are_compared_on_a_page(
    snapshot: LoadedSnapshot, other: LoadedSnapshot
) -> None:
    manifests = [snapshot.manifest, other.manifest]
    async with browser_of(SnapshotWatch(lambda: list(manifests), interval=60)) as browser:
        status, html = await fetched(browser, "/compare/?from=odd&to=odd&left=1&right=1&by=label")
        assert status == 200
        assert "&lt;script&gt;alert(3)" in html
        assert "<script>alert" not in html
        assert 'href="/runs/other/odd/%3Cscript%3E' in html
        assert (await fetched(browser, "/compare/?b=nobody"))[0] == 404
        assert "/compare/?a=demo&amp;from=odd" in (await fetched(browser, "/runs/demo/odd/"))[1]
    assert compare_page(Shelf(), {}).status == 404
