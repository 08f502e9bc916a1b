"""Bands of whole bins, and examples of one domain, against looking at every example."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.snapshots.snapshots import write_plain
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from tests import factories

EDGES = np.array([0.5, 1.0, 1.25, 2.0], np.float32)


def test_bands_are_whole_bins_and_domains_are_told_apart(tmp_path: Path) -> None:
    plan = factories.plan(rankings=("maximum", "intervals=3"), k=50, edges=EDGES)
    oracle = Oracle(plan, factories.DenseEngine(plan))
    for number, batch in enumerate(factories.batches(per_partition=4, rows=8, seed=2)):
        oracle.add(replace(batch, domains=(("code", "prose")[number % 2],) * len(batch.domains)))
    snapshot = Snapshot(write_plain(plan, oracle.tables([b"a"]), "final", str(tmp_path)))
    several = 0
    for row in snapshot.clusters.to_pylist():
        cluster = snapshot.cluster(row["label"], row["clustering"], row["iteration"])
        bounds = [0.0, *EDGES.tolist(), math.inf]
        found = cluster.bands(count=3, k=100)
        assert [band.low for band in found] == sorted((b.low for b in found), reverse=True)
        shown = [each for band in found for each in band.examples]
        every = cluster.examples("intervals", 1000)
        assert sorted(e.sample for e in shown) == sorted(e.sample for e in every)
        parts: dict[int, list[float]] = {}
        for low, high in pairwise(bounds) if found else ():
            parts.setdefault(min(int(low / row["max_activation"] * 3), 2), []).extend((low, high))
        spans = {(min(ends), max(ends)) for ends in parts.values()}
        assert {(band.low, band.high) for band in found} <= spans
        for band in found:
            assert all(band.low <= each.score < band.high for each in band.examples)
            filled = max(low for low in bounds if any(e.score >= low for e in band.examples))
            assert band.examples[0].score >= filled  # the highest bin begins
        several += len(found) > 1
        examples = cluster.examples(k=50)
        for domain in ("code", "prose"):
            ours = [each.sample for each in examples if each.domain == domain]
            assert [each.sample for each in cluster.examples(k=50, domain=domain)] == ours
    assert several
    bare = factories.plan()
    tables = Oracle(bare, factories.DenseEngine(bare)).tables([b"a"])
    with pytest.raises(SnapshotError, match="no ranking 'intervals'"):
        Snapshot(write_plain(bare, tables, "final", str(tmp_path / "bare"))).feature(1).bands()
