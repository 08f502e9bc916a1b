"""Verified silent contexts: never one in which the cluster is active, and all that can be known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from consumers.snapshots.snapshots import write_plain
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from tests import factories

ROWS = factories.batches(per_partition=6, rows=8, seed=3)


def opened(folder: Path, *rankings: str) -> tuple[Plan, Snapshot]:
    plan = factories.plan(rankings=rankings, bucket_bytes=10**6)
    oracle = Oracle(plan, factories.DenseEngine(plan, density=0.2))
    for batch in ROWS:
        oracle.add(batch)
    return plan, Snapshot(write_plain(plan, oracle.tables([b"a"]), "final", str(folder)))


def active_samples(plan: Plan) -> dict[int, set[bytes]]:
    """Return the samples in which each cluster is active, from dense values."""
    engine = factories.DenseEngine(plan, density=0.2)
    found: dict[int, set[bytes]] = {cluster: set() for cluster in range(plan.clusters)}
    for batch in ROWS:
        valid = batch.mask & (batch.ids != 0)
        dense = engine.dense(batch) * valid[..., None]
        for cluster in range(plan.clusters):
            first, stop = plan.member_first[cluster : cluster + 2]
            rows = (dense[..., plan.members[first:stop]] > 0).any(axis=(1, 2))
            found[cluster] |= {batch.keys[row].tobytes() for row in np.flatnonzero(rows)}
    return found


@pytest.mark.parametrize("k", [1, 3, 1000])
def test_silent_contexts_are_all_the_known_rows_in_which_it_is_not_active(
    tmp_path: Path, k: int
) -> None:
    plan, snapshot = opened(tmp_path, "maximum", f"shared={k}")
    active = active_samples(plan)
    listed = set().union(*(sorted(samples)[:k] for samples in active.values()))
    some = 0
    for number, row in enumerate(snapshot.clusters.to_pylist()):
        cluster = snapshot.cluster(row["label"], row["clustering"], row["iteration"])
        own = sorted(active[number])[:k]
        limit = own[-1] if len(own) == k else b"\xff" * 17
        expected = sorted(key for key in listed - active[number] if key < limit)
        found = cluster.silent(1000)
        assert [each.sample for each in found] == [key.hex() for key in expected]
        assert not any(any(each.activations) or each.members for each in found)
        assert all(each.tokens for each in found)
        some += len(found)
    assert some


def test_hard_ones_hold_the_tokens_at_which_it_peaks(tmp_path: Path) -> None:
    _, snapshot = opened(tmp_path, "maximum", "shared")
    feature = snapshot.feature(1)
    peaks = {each.token_ids[each.peak] for each in feature.examples()}
    counts = [len(peaks.intersection(each.token_ids)) for each in feature.silent(50, hard=True)]
    assert counts == sorted(counts, reverse=True)
    plain = feature.silent(50)
    assert {e.sample for e in plain} == {e.sample for e in feature.silent(50, hard=True)}
    assert "<script" not in plain._repr_html_()


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    _, without = opened(tmp_path / "without", "maximum")
    with pytest.raises(SnapshotError, match="need the ranking 'shared'; run 'test' does not"):
        without.feature(1).silent()
    _, whole = opened(tmp_path / "with", "maximum", "shared")
    middle = Snapshot(replace(whole.manifest, final=False))
    with pytest.raises(SnapshotError, match="is not final"):
        middle.feature(1).silent()
