"""Pages over tables that the oracle computed: signed sources, dropped components, every ranking."""

from pathlib import Path

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan
from consumers.snapshots.snapshots import write_plain
from downstream.dashboard.json_form import provenance
from downstream.dashboard.list_query import Query
from downstream.dashboard.listing import make_listing
from downstream.dashboard.pages import home
from downstream.dashboard.watch import Shelf
from downstream.rendering.cluster import cluster_page
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.records.corpus import TokenForms
from tests import factories

SOURCES = (
    factories.source(dropped=(2, 5)),
    factories.source("neurons", sign="absolute", singles=False),
)
MIXED = factories.clustering({"x": [(1, 0), (1, 4), (0, 1)], "gone": [(0, 2), (0, 5)]}, iteration=3)


def opened(folder: Path, plan: Plan) -> LoadedSnapshot:
    oracle = Oracle(plan, factories.DenseEngine(plan, 1))
    for batch in factories.batches(seed=1):
        oracle.add(batch)
    tables = oracle.tables([b"a", b"b"])
    return open_snapshot(write_plain(plan, tables, "final", str(folder)))


def test_a_row_shows_as_its_tokenizer_decodes_it(tmp_path: Path) -> None:
    plan = factories.plan(sources=SOURCES, clusterings=(MIXED,))
    oracle = Oracle(plan, factories.DenseEngine(plan, 1))
    for batch in factories.batches(seed=1):
        oracle.add(batch)
    words = [f" w{number}".encode() for number in range(factories.VOCABULARY)]
    bare = TokenForms(tuple(range(len(words))), tuple(word.strip() for word in words))
    tables = oracle.tables(words, (bare, TokenForms(), bare))
    shown = open_snapshot(write_plain(plan, tables, "final", str(tmp_path)))
    contexts = [
        c for cluster in range(len(shown.labels)) for c in cluster_page(shown, cluster).contexts
    ]
    assert len({len(context.tokens) for context in contexts}) > 1
    for context in contexts:
        ids = [token.id for token in context.tokens]
        text = "".join(piece.text for token in context.tokens for piece in token.pieces)
        assert text == " ".join(f"w{number}" for number in ids)


RANKINGS = ("maximum", "last=2", "mean", "sum", "minimum", "random=4", "intervals=1")
OF_THE_PEAK = ("maximum", "last", "random", "intervals")


@pytest.fixture
def run(tmp_path: Path) -> LoadedSnapshot:
    changes = {"rankings": RANKINGS, "bucket_bytes": 10**6}
    return opened(tmp_path, factories.plan(sources=SOURCES, clusterings=(MIXED,), **changes))


def test_every_cluster_has_a_page_for_every_ranking(run: LoadedSnapshot) -> None:
    assert run.rankings == [name.partition("=")[0] for name in RANKINGS]
    for cluster in range(len(run.labels)):
        for ranking in run.rankings:
            page = cluster_page(run, cluster, ranking=ranking)
            assert page.ranking == ranking
            assert page.meaning
            for context in page.contexts:
                at_peak = context.tokens[context.peak].activity
                assert at_peak == context.score or ranking not in OF_THE_PEAK


def test_a_page_says_the_k_of_its_ranking_and_the_interval_of_each_context(
    run: LoadedSnapshot,
) -> None:
    assert [cluster_page(run, 0, ranking=name).k for name in run.rankings] == [
        3, 2, 3, 3, 3, 4, 1,
    ]  # fmt: skip
    page = cluster_page(run, 0, ranking="intervals")
    assert len(set(page.intervals)) == len(page.intervals) == len(page.contexts) > 1
    for text, context in zip(page.intervals, page.contexts, strict=True):
        low, high = map(float, text.split(" to "))
        assert low - 0.01 <= context.score < high + 0.01
    assert cluster_page(run, 0).intervals == ()


def test_silent_contexts_are_rows_in_which_it_is_nowhere_active(tmp_path: Path) -> None:
    plan = factories.plan(rankings=("maximum", "shared=6"))
    run = opened(tmp_path, plan)
    engine, rows = factories.DenseEngine(plan, 1), {}
    for batch in factories.batches(seed=1):
        dense = engine.dense(batch)
        for row, ids in enumerate(batch.ids.tolist()):
            place = (batch.partition, batch.sequence, row)
            rows[place] = (ids, dense[row] * batch.mask[row, :, None])
    seen = 0
    for cluster in range(5):
        page = cluster_page(run, cluster, ranking="silent")
        assert (page.ranking, page.rankings) == ("silent", ("maximum", "shared", "silent"))
        for context in page.contexts:
            ids, values = rows[context.place]
            assert [token.id for token in context.tokens] == ids[: len(context.tokens)]
            assert not values[..., cluster].any()
            assert not any(token.activity for token in context.tokens)
            seen += 1
    assert seen
    assert "silent" not in cluster_page(opened(tmp_path / "b", factories.plan()), 0).rankings


def test_signed_members_stay_below_the_clusters_highest(run: LoadedSnapshot) -> None:
    cluster = run.find(run.clusterings[1], "x")
    assert cluster is not None
    page = cluster_page(run, cluster)
    values = [m.value for c in page.contexts for row in c.members for m in row.marks]
    assert min(values) < 0 < max(values)
    assert np.abs(values).max() == run.high[cluster]
    assert page.contexts[0].tokens[0].pieces[0].text.startswith("⟨id ")


def test_what_is_dropped_is_said(run: LoadedSnapshot) -> None:
    gone = run.find(run.clusterings[1], "gone")
    assert gone is not None
    assert run.status(gone) == "empty"
    assert run.clustering("groups", 3) is run.clusterings[1]
    listing = make_listing(run, run.clusterings[0], Query())
    assert [row.status for row in listing.rows if row.label in ("2", "5")] == ["empty", "empty"]


def test_a_run_whose_text_is_all_masked_still_shows(tmp_path: Path) -> None:
    run = opened(tmp_path, factories.plan(masked_positions=np.arange(6)))
    page = home(Shelf({"test": run}), {})
    assert page.template == "list.html"
    assert provenance(run)["tokens"] == 0
    assert cluster_page(run, 0).contexts == ()
