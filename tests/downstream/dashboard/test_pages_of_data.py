"""What pages say, against numbers that follow from the given values."""

import json
from dataclasses import replace

import numpy as np
import pytest

from downstream.dashboard.components import component_page, source_summaries
from downstream.dashboard.json_form import list_form
from downstream.dashboard.list_query import Query, query_of
from downstream.dashboard.listing import make_listing
from downstream.rendering import opening
from downstream.rendering.cluster import cluster_page
from downstream.rendering.contexts import top_contexts
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.errors import SnapshotError
from streams.snapshots.manifests import RunManifest
from tests.downstream.dashboard.snapshot_files import Given, without_columns

BOTH, MIXED = 5, 7


def test_clusterings_are_found_in_order(snapshot: LoadedSnapshot) -> None:
    named = [(c.name, c.first, c.stop, c.noun) for c in snapshot.clusterings]
    assert named == [("features/sae", 0, 5, "feature"), ("odd", 5, 11, "cluster")]


def test_density_counts_valid_tokens(snapshot: LoadedSnapshot, given: Given) -> None:
    tokens = sum(len(ids) for _, ids in given.rows)
    firing = int(np.count_nonzero(given.values[0]))
    numbers = {number.name: number for number in cluster_page(snapshot, 0).numbers}
    assert snapshot.tokens == tokens
    assert numbers["Activation density"].value == firing / tokens
    assert numbers["Tokens"].value == firing
    assert numbers["Maximum"].value == given.values[0].max()
    mean = given.values[0][given.values[0] > 0].mean()
    assert numbers["Mean"].value == pytest.approx(mean, abs=1e-5)
    low, high = numbers["Minimum"].value, numbers["Maximum"].value
    assert low <= numbers["Median"].value <= high
    assert numbers["Median"].kind == "from bins"


def test_a_context_shows_the_row_and_marks_the_peak(snapshot: LoadedSnapshot, given: Given) -> None:
    first, *rest = top_contexts(snapshot, 0, "maximum", 9)
    row = int(given.values[0].max(axis=1).argmax())
    assert [token.id for token in first.tokens] == given.rows[row][1]
    assert [token.activity for token in first.tokens] == pytest.approx(
        given.values[0, row, : len(first.tokens)].tolist()
    )
    assert first.tokens[first.peak].level == 16
    assert first.score == first.tokens[first.peak].activity
    assert first.document == given.rows[row][0].id
    assert all(context.score <= first.score for context in rest)


def test_members_keep_their_sign(snapshot: LoadedSnapshot) -> None:
    rows = {row.label: row for row in top_contexts(snapshot, BOTH, "maximum", 1)[0].members}
    assert rows["sae:1"].strongest.value == -1.5
    assert rows["sae:1"].strongest.level < 0 < rows["sae:0"].strongest.level


def test_neighbours_carry_counts_and_jaccard(snapshot: LoadedSnapshot, given: Given) -> None:
    page = cluster_page(snapshot, 1)
    fires = given.values != 0
    both, either = (fires[1] & fires[2]).sum(), (fires[1] | fires[2]).sum()
    found = {other.label: other for other in page.neighbours or ()}
    assert found["2"].both == both == 1
    assert found["2"].jaccard == pytest.approx(both / either)


def test_the_matrix_is_symmetric_with_firings_on_its_diagonal(
    snapshot: LoadedSnapshot, given: Given
) -> None:
    matrix = cluster_page(snapshot, MIXED).matrix
    assert matrix is not None
    counts = np.array([[cell.both for cell in row] for row in matrix.cells])
    members = [int(label.removeprefix("sae:")) for label in matrix.labels]
    assert (counts == counts.T).all()
    assert counts.diagonal().tolist() == [np.count_nonzero(given.values[m]) for m in members]
    assert cluster_page(snapshot, 0).matrix is None


def test_clusters_that_share_members_are_named(snapshot: LoadedSnapshot) -> None:
    page = cluster_page(snapshot, BOTH)
    assert {other.label for other in page.sharing} == {
        "0", "1", "<script>alert(3)</script>", "a/b%2F?c#d é", "..", "",
    }  # fmt: skip
    assert page.singles["sae:1"].clustering == "features/sae"
    assert next(other.tokens for other in page.sharing if other.label == "0") == "the"


def test_a_cluster_without_members_says_so(snapshot: LoadedSnapshot) -> None:
    page = cluster_page(snapshot, 10)
    assert (page.status, page.members, page.dropped) == ("empty", (), ("sae:4",))
    assert page.contexts == page.bins == ()  # type: ignore[comparison-overlap]
    assert cluster_page(snapshot, 3).status == "dead"


def test_the_list_sorts_filters_and_searches(snapshot: LoadedSnapshot) -> None:
    features, odd = snapshot.clusterings

    def labels(clustering: object, query: Query) -> list[str]:
        return [row.label for row in make_listing(snapshot, clustering, query).rows]  # type: ignore[arg-type]

    assert labels(features, Query()) == ["0", "1", "2", "3", "4"]
    assert labels(features, Query(show="dead")) == ["3", "4"]
    assert labels(features, Query(sort="max", descending=True))[0] == "2"
    assert labels(odd, Query(search="label:ALERT")) == ["<script>alert(3)</script>"]
    assert labels(odd, Query(search="sae:3")) == ["a/b%2F?c#d é"]
    assert make_listing(snapshot, odd, Query(page=99)).query.page == 1


def test_the_list_shows_the_best_context(snapshot: LoadedSnapshot) -> None:
    row = make_listing(snapshot, snapshot.clusterings[0], Query()).rows[0]
    assert row.best is not None
    assert row.best.score == row.high


@pytest.mark.parametrize("page", ["x", "-1", "0", "9" * 40, "²"])
def test_a_senseless_query_counts_as_not_said(page: str) -> None:
    assert query_of({"page": page, "sort": "up", "show": "?"}) == Query()


def test_dead_and_dropped_components_are_listed(snapshot: LoadedSnapshot) -> None:
    (source,) = source_summaries(snapshot)
    assert (source.components, source.dead, source.dropped) == (5, 1, 1)
    assert source.dead_share == 1 / 4
    fired = sum(snapshot.features["firing_tokens"].to_pylist())
    assert source.l0 == fired / snapshot.tokens > 0
    assert component_page(snapshot, source, {}).indices == (3,)
    assert component_page(snapshot, source, {"show": "dropped"}).indices == (4,)


def test_a_table_that_a_snapshot_lacks_is_said_and_the_pages_stay(manifest):
    left = ("features", "coactivation")
    bare = replace(manifest, tables=tuple(t for t in manifest.tables if t.name not in left))
    opened = open_snapshot(bare)
    assert opened.absent == left
    page = cluster_page(opened, 5)
    assert page.neighbours is None
    assert page.contexts


@pytest.mark.parametrize("name", opening.OPTIONAL_COLUMNS)
def test_columns_that_a_snapshot_lacks_are_said_and_the_pages_stay(
    manifest: RunManifest, snapshot: LoadedSnapshot, name: str
) -> None:
    left = opening.OPTIONAL_COLUMNS[name]
    opened = open_snapshot(without_columns(manifest, name, left))
    assert opened.absent == tuple(f"{name}.{column}" for column in left)
    for number in range(len(opened.labels)):
        page, full = cluster_page(opened, number), cluster_page(snapshot, number)
        assert [context.score for context in page.contexts] == [c.score for c in full.contexts]
        assert set(page.numbers) <= set(full.numbers)
    for clustering in opened.clusterings:
        listing = make_listing(opened, clustering, Query(sort="mean"))
        json.dumps(list_form(opened, listing), allow_nan=False)
    names = [source.name for source in source_summaries(opened)]
    assert names == [source.name for source in source_summaries(snapshot)]


def test_columns_that_pages_do_not_read_may_be_missing(manifest: RunManifest) -> None:
    assert open_snapshot(without_columns(manifest, "totals", ["batches"])).absent == ()


def test_a_column_that_pages_cannot_do_without_is_named(manifest: RunManifest) -> None:
    with pytest.raises(SnapshotError, match="table 'clusters' of 'final' has no column 'members'"):
        open_snapshot(without_columns(manifest, "clusters", ["members"]))
