"""Near-duplicate examples folded where a table is read: by the reader, and on pages."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from consumers.oracle.oracle import Oracle
from consumers.snapshots.snapshots import write_plain
from downstream.dashboard.pages import Page, run_path
from downstream.dashboard.watch import Shelf
from downstream.reading.near_duplicates import folded
from downstream.reading.snapshot import Snapshot
from downstream.rendering.cluster import cluster_page
from downstream.rendering.opening import open_snapshot
from streams.records.corpus import TokenBatch
from tests import factories

CONTEXT = 20


def copied(batch: TokenBatch, sequence: int, at: int) -> TokenBatch:
    """Return a batch of long rows, and each of them again with one token changed."""
    drawn = np.random.default_rng(sequence).integers(1, factories.VOCABULARY, (4, CONTEXT))
    other = drawn.copy()
    other[:, at] = drawn[:, at] % (factories.VOCABULARY - 1) + 1
    ids = np.concatenate([drawn, other]).astype(np.uint32)
    keys = np.random.default_rng([sequence, at]).integers(0, 256, (8, 16)).astype(np.uint8)
    return replace(
        batch,
        ids=ids,
        mask=np.ones(ids.shape, bool),
        keys=keys,
        documents=("",) * 8,
        domains=("",) * 8,
    )


def test_a_context_that_is_much_like_a_better_one_is_folded_under_it(tmp_path: Path) -> None:
    plan = factories.plan(context=CONTEXT, k=100, bucket_bytes=10**6)
    oracle = Oracle(plan, factories.DenseEngine(plan))
    made = [copied(b, n, 19) for n, b in enumerate(factories.batches(per_partition=2, rows=8))]
    for batch in made:
        oracle.add(batch)
    manifest = write_plain(plan, oracle.tables([b"a"]), "final", str(tmp_path))
    snapshot, loaded = Snapshot(manifest), open_snapshot(manifest)
    some = 0
    for number, row in enumerate(snapshot.clusters.to_pylist()):
        cluster = snapshot.cluster(row["label"], row["clustering"], row["iteration"])
        every, shown = cluster.examples(k=100), cluster.examples(k=100, fold=True)
        under = folded([example.token_ids for example in every])
        first = sorted(set(under))
        assert [each.sample for each in shown] == [every[at].sample for at in first]
        assert [each.duplicates for each in shown] == [under.count(at) - 1 for at in first]
        assert len(shown) + sum(each.duplicates for each in shown) == len(every)
        assert not any(each.duplicates for each in every)
        page = cluster_page(loaded, number, fold=True, most=3)
        assert [each.sample for each in page.contexts] == [each.sample for each in shown[:3]]
        assert [each.duplicates for each in page.contexts] == [e.duplicates for e in shown[:3]]
        some += len(shown) < len(every)
    assert some
    address = f"/runs/{manifest.run}/features/sae/1"
    pages = [
        run_path(Shelf({manifest.run: loaded}), address, asked) for asked in ({"fold": "1"}, {})
    ]
    assert [isinstance(page, Page) and page.values["page"].folded for page in pages] == [
        True,
        False,
    ]
    assert isinstance(pages[0], Page)
    contexts = pages[0].data()["cluster"]["contexts"]
    assert [c["duplicates"] for c in contexts] == [
        e.duplicates for e in snapshot.feature(1).examples(fold=True)
    ]
