"""Co-activation in shared rows, against counting pairs token by token."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from consumers.snapshots.snapshots import write_plain
from downstream.derived.attach import attach
from downstream.derived.coactivation import SAMPLED_COACTIVATION, SampledCoactivation
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import read_dictionary
from downstream.reading.shared_firings import LEAST
from downstream.reading.snapshot import Snapshot
from downstream.rendering.cluster import cluster_page
from downstream.rendering.opening import open_snapshot
from downstream.rendering.panels.coactivation import CoactivationPanel
from downstream.rendering.panels.panel import Subject
from streams.errors import SnapshotError
from streams.records.corpus import TokenBatch
from tests import factories

ROWS = factories.batches(per_partition=8, rows=8, seed=5)
SOURCES = (factories.source(components=6), factories.source("other", components=4))
GROUPS = (factories.clustering({"a": [(0, 1), (1, 2)], "b": [(0, 2), (0, 3)], "c": [(1, 1)]}),)


class Engine(factories.DenseEngine):
    """Values that depend on the position, too, so that no two components always go together."""

    def dense(self, batch: TokenBatch) -> Any:
        drawn = np.random.default_rng(7).random((batch.ids.shape[1], self.plan.components))
        return super().dense(batch) * (drawn < 0.6).astype(np.float32)


def opened(folder: Path, *rankings: str) -> tuple[Plan, Snapshot]:
    plan = factories.plan(
        sources=SOURCES, clusterings=GROUPS, rankings=rankings, bucket_bytes=10**6
    )
    oracle = Oracle(plan, Engine(plan, density=0.3))
    for batch in ROWS:
        oracle.add(batch)
    return plan, Snapshot(write_plain(plan, oracle.tables([b"a"]), "final", str(folder)))


def firing(plan: Plan) -> dict[bytes, Any]:
    """Return where clusters are active, [cluster, position], by sample."""
    engine, found = Engine(plan, density=0.3), {}
    for batch in ROWS:
        dense = engine.dense(batch) * (batch.mask & (batch.ids != 0))[..., None]
        bounds = zip(plan.member_first[:-1], plan.member_first[1:], strict=True)
        active = np.stack(
            [(dense[..., plan.members[first:stop]] > 0).any(axis=-1) for first, stop in bounds]
        )
        for row in range(len(batch.keys)):
            found[batch.keys[row].tobytes()] = active[:, row]
    return dict(sorted(found.items()))


@pytest.mark.parametrize("k", [4, 1000])
def test_pairs_are_those_of_counting_in_the_rows_in_which_both_are_known(
    tmp_path: Path, k: int
) -> None:
    plan, snapshot = opened(tmp_path, "maximum", f"shared={k}")
    attach(
        SampledCoactivation(), Given(snapshot, read_dictionary), Options(k=99), created="2031-05-06"
    )
    rows = snapshot.attachment("coactivation")["sampled_coactivation"].to_pylist()
    keys = [tuple(row[name] for name in SAMPLED_COACTIVATION.key) for row in rows]
    assert keys == sorted(set(keys))
    active = firing(plan)
    listed = {c: [key for key, on in active.items() if on[c].any()] for c in range(plan.clusters)}
    last = {c: keys[k - 1] if len(keys) >= k else b"\xff" * 17 for c, keys in listed.items()}
    labels = snapshot.clusters.to_pylist()
    pairs = {(row["cluster"], row["other"]): row for row in rows}
    single = [label["clustering"].startswith("features/") for label in labels]
    for a in range(plan.clusters):
        for b in range(plan.clusters):
            here, there = labels[a]["clustering"], labels[b]["clustering"]
            known = [on for key, on in active.items() if key <= min(last[a], last[b])]
            both = np.array([(on[a] & on[b]).sum() for on in known])
            either = np.array([(on[a] | on[b]).sum() for on in known])
            of_a = np.array([on[a].sum() for on in known])
            wanted = a != b and (here == there or (single[a] and single[b]))
            assert ((a, b) in pairs) == (wanted and both.sum() >= LEAST)
            if (a, b) not in pairs:
                continue
            row, rows_of = pairs[(a, b)], (either > 0).sum()
            given = both.sum() / of_a.sum()
            assert row["tokens"] == both.sum()
            assert row["cluster_tokens"] == of_a.sum()
            assert row["other_tokens"] == sum(on[b].sum() for on in known)
            assert row["rows"] == rows_of
            assert row["exact"] == (len(listed[a]) < k and len(listed[b]) < k)
            assert row["jaccard"] == pytest.approx(both.sum() / either.sum())
            assert row["other_given_cluster"] == pytest.approx(given)
            assert row["lift"] == pytest.approx(given / labels[b]["activation_density"])
            assert row["pmi"] == pytest.approx(np.log2(row["lift"]))
            if row["exact"]:
                assert row["jaccard_error"] == row["other_given_cluster_error"] == 0
            elif rows_of > 1:
                off = both - row["jaccard"] * either
                error = np.sqrt((off * off).sum() * rows_of / (rows_of - 1)) / either.sum()
                assert row["jaccard_error"] == pytest.approx(min(error, 1), abs=1e-9)
    assert {row["exact"] for row in rows} == {k == 1000}
    ours = [row for row in rows if row["cluster"] == 0]
    assert ours
    shown = CoactivationPanel().read(
        open_snapshot(snapshot.manifest),
        next(each for each in snapshot.attachments if each.kind == "coactivation"),
        Subject(0, None),
    )
    assert shown is not None
    assert [
        (other.page.label, other.tokens, other.jaccard)
        for each in shown.lists
        for other in each.clusters
    ] == [(labels[row["other"]]["label"], row["tokens"], row["jaccard"]) for row in ours]
    page = cluster_page(open_snapshot(snapshot.manifest), 0)
    assert page.sampled
    assert [(other.label, other.both, other.jaccard_error) for other in page.neighbours or ()] == [
        (labels[row["other"]]["label"], row["tokens"], row["jaccard_error"])
        for row in ours
        if row["other_clustering"] == "features/sae"
    ]
    found = snapshot.feature("sae:0").coactivation(3).to_pylist()
    mine = [row for row in ours if row["other_clustering"] == "features/sae"]
    assert [(each["cluster"], each["jaccard_error"]) for each in found] == [
        (row["other"], row["jaccard_error"]) for row in mine[:3]
    ]


def test_hard_silent_contexts_are_silent_and_near(tmp_path: Path) -> None:
    plan, snapshot = opened(tmp_path, "maximum", "shared=1000")
    active, some = firing(plan), 0
    for index in range(6):
        feature = snapshot.feature(f"sae:{index}")
        peaks = {each.token_ids[each.peak] for each in feature.examples()}
        near = feature.coactivation(20)["cluster"].to_pylist()
        hard = snapshot.hard_silent_contexts(f"sae:{index}", 1000)
        assert {each.sample for each in hard} == {each.sample for each in feature.silent(1000)}
        hardness = []
        for each in hard:
            on = active[bytes.fromhex(each.sample)]
            assert not on[feature.number].any()
            tokens = len(peaks.intersection(each.token_ids))
            hardness.append(tokens + sum(on[other].any() for other in near))
        assert hardness == sorted(hardness, reverse=True)
        some += len(set(hardness)) > 1
    assert some


def test_without_shared_rows_that_is_said(tmp_path: Path) -> None:
    _, snapshot = opened(tmp_path, "maximum")
    with pytest.raises(SnapshotError, match="does not have the ranking 'shared'"):
        snapshot.feature("sae:0").coactivation()
    with pytest.raises(SnapshotError, match="need the ranking 'shared'"):
        SampledCoactivation().derive(Given(snapshot, read_dictionary), Options())
