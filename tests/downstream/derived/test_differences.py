"""Two snapshots compared, against a plain comparison of dictionaries."""

from dataclasses import replace

import numpy as np
import pytest

from downstream.derived.differences import (
    CLUSTER_DIFFERENCES,
    EXAMPLE_CHANGES,
    compare,
)
from downstream.reading.snapshot import Snapshot
from tests.downstream.dashboard.snapshot_files import small, write_snapshot

NUMBERS = ("firing_tokens", "activation_density", "mean_activation", "max_activation")


def changed_values():
    """Return the small snapshot's text with a feature silenced, a cluster renamed, one more."""
    made = small()
    values = made.values.copy()
    values[2, :, ::2] = 0
    values[0, 0] *= 3
    values[0, 2] = 0
    clusters = [
        ("odd", "new", m) if label == ".." else (c, label, m) for c, label, m in made.clusters
    ]
    return replace(made, values=values, clusters=clusters)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Snapshot, Snapshot]:
    store = tmp_path_factory.mktemp("store")
    a = write_snapshot(str(store), small(), run="one", k=2)
    b = write_snapshot(str(store), changed_values(), run="two", k=2)
    return Snapshot(a), Snapshot(b)


def numbers_of(snapshot):
    rows = snapshot.clusters.arrow.to_pylist()
    return {(r["clustering"], r["iteration"], r["label"]): r for r in rows}


def examples_of(snapshot):
    keys = {r["cluster"]: key for key, r in numbers_of(snapshot).items()}
    hits = snapshot.table("hits").to_pylist()
    return {(*keys[h["cluster"]], h["ranking"], h["sample"]): h for h in hits}


def test_clusters_are_matched_and_their_numbers_stand_side_by_side(pair):
    found = compare(*pair)
    sides = [numbers_of(each) for each in pair]
    rows = found.clusters.to_pylist()
    key = CLUSTER_DIFFERENCES.key
    assert [tuple(row[n] for n in key) for row in rows] == sorted(sides[0] | sides[1])
    assert found.clusters.schema.equals(CLUSTER_DIFFERENCES.schema)
    for row in rows:
        named = tuple(row[n] for n in key)
        for side, numbers in zip("ab", sides, strict=True):
            assert row[f"in_{side}"] == (named in numbers)
            for name in NUMBERS:
                expected = numbers[named][name] if named in numbers else 0
                assert row[f"{name}_{side}"] == pytest.approx(expected)


def test_examples_that_came_and_went_are_those_of_the_difference_of_sets(pair):
    found = compare(*pair)
    a, b = map(examples_of, pair)
    expected = {("came", *key): b[key] for key in b.keys() - a.keys()}
    expected |= {("went", *key): a[key] for key in a.keys() - b.keys()}
    assert {change for change, *_ in expected} == {"came", "went"}
    rows = found.examples.to_pylist()
    assert found.examples.schema.equals(EXAMPLE_CHANGES.schema)
    order = [tuple(row[n] for n in EXAMPLE_CHANGES.key) for row in rows]
    assert order == sorted(order)
    named = ("change", "clustering", "iteration", "label", "ranking", "sample")
    assert len(rows) == len(expected)
    for row in rows:
        hit = expected[tuple(row[n] for n in named)]
        for name in ("rank", "score", "partition", "sequence", "row"):
            assert row[name] == hit[name]
    for row in found.clusters.to_pylist():
        key = tuple(row[n] for n in CLUSTER_DIFFERENCES.key)
        ours = [{k for k in each if k[:3] == key} for each in (a, b)]
        counts = [len(ours[0] & ours[1]), len(ours[1] - ours[0]), len(ours[0] - ours[1])]
        assert [row[n] for n in ("shared_examples", "came", "went")] == counts


def test_what_changed_comes_first_by_the_share_of_examples_replaced(pair):
    found = compare(*pair)
    rows = found.clusters.to_pylist()
    for row in rows:
        same = row["in_a"] and row["in_b"] and not row["came"] and not row["went"]
        same = same and all(row[f"{n}_a"] == row[f"{n}_b"] for n in NUMBERS)
        assert row["changed"] == (not same)
    shown = found.most_changed(100)
    assert len(shown) == sum(r["changed"] and r["in_a"] and r["in_b"] for r in rows)
    share = [
        (r["came"] + r["went"]) / max(1, r["came"] + r["went"] + r["shared_examples"])
        for r in shown
    ]
    assert share == sorted(share, reverse=True)
    assert found.totals["only_in_b"] == sum(not r["in_a"] for r in rows) == 1
    assert found.most_changed(1) == shown[:1]


def test_a_snapshot_does_not_differ_from_itself(pair):
    found = compare(pair[0], pair[0])
    assert not any(found.clusters["changed"].to_pylist())
    assert (len(found.examples), found.most_changed(9), list(found.notes)) == (0, [], [])


def test_what_makes_runs_differ_is_noted(pair):
    manifest = pair[1].manifest
    sources = [{**manifest.about["sources"][0], "content": "other"}]
    about = {**manifest.about, "corpus": "letters", "sources": sources}
    other = Snapshot(replace(manifest, about=about, final=False))
    assert compare(pair[0], other).notes == [
        "corpus differs: library, letters",
        "source sae is another one",
        "B is not final",
    ]


def test_a_number_that_one_run_does_not_keep_is_0_for_it(pair):
    bare = Snapshot(pair[1].manifest)
    bare.__dict__["clusters"] = type(pair[1].clusters)(
        "clusters", pair[1].clusters.arrow.drop_columns(["mean_activation"])
    )
    rows = compare(pair[0], bare).clusters
    assert not np.any(rows["mean_activation_b"].to_numpy())
    assert np.any(rows["mean_activation_a"].to_numpy())
