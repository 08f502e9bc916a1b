"""Numbers that lists show and are bounded by, against looking at every cluster."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from consumers.statistics.domains import DOMAINS, FIRINGS
from downstream.dashboard.columns import Column, Stored, columns_of, values_of
from downstream.dashboard.domains import counted, domain_names, share_in_domain
from downstream.dashboard.list_query import query_of
from downstream.dashboard.listing import make_listing, matching
from downstream.dashboard.pages import Page, run_path
from downstream.dashboard.watch import Shelf, SnapshotWatch
from downstream.derived.attach import attach
from downstream.derived.derivation import Options
from downstream.derived.norms import Norms
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.snapshots.attachments import make_attachment, write_attachment
from streams.snapshots.content import table_hash
from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store, write_part
from streams.snapshots.table_entry import table_entry
from streams.snapshots.tables import Column as FormColumn
from streams.snapshots.tables import TableForm
from tests.downstream.dashboard.snapshot_files import Given, write_snapshot
from tests.downstream.dashboard.test_app import browser_of, fetched
from tests.downstream.derived.conftest import FEATURES, World, written

SCORES = TableForm(
    "scores",
    "A score of each cluster.",
    ("cluster",),
    (
        FormColumn("cluster", pa.int32(), "cluster"),
        FormColumn("score", pa.float64(), "how well it can be told"),
        FormColumn("score_error", pa.float64(), "its error"),
        FormColumn("max", pa.float32(), "a name that is taken"),
    ),
)
SCORED = {0: 0.5, 2: 0.25, 3: np.nan, 7: 1.0}


def attach_scores(manifest: RunManifest, name: str = "default") -> None:
    """Attach scores of some clusters, one of them no number and one of no cluster."""
    clusters = [*SCORED, 99]
    values = [*SCORED.values(), 0.75]
    table = SCORES.table(
        {"cluster": clusters, "score": values, "score_error": values, "max": values}
    )
    when = "2031-05-06T07:08:09Z"
    made = make_attachment(
        manifest, "scores", {SCORES: table}, created=when, provenance={}, name=name
    )
    write_attachment(open_store(manifest.store), made, {SCORES: table})


@pytest.fixture
def scored(tmp_path: Path) -> tuple[World, LoadedSnapshot]:
    """A snapshot with scores of clusters and norms of features attached, opened."""
    world = written(tmp_path / "store", tmp_path / "weights")
    attach_scores(world.manifest)
    attach(Norms(), world.given, Options(), created="2031-05-06T07:08:09Z")
    return world, open_snapshot(world.manifest)


def test_every_number_by_cluster_or_feature_is_a_column(
    scored: tuple[World, LoadedSnapshot],
) -> None:
    world, snapshot = scored
    columns = columns_of(snapshot)
    assert set(columns) == {
        "density", "max", "mean", "score", "scores.max", "decoder_norm", "encoder_norm",
    }  # fmt: skip
    scores = values_of(snapshot, columns["score"])
    for cluster, value in enumerate(scores.tolist()):
        assert value == pytest.approx(SCORED.get(cluster, np.nan), nan_ok=True)
    norms = values_of(snapshot, columns["decoder_norm"])
    lengths = np.linalg.norm(world.dictionaries["sae"]["W_dec"], axis=1)
    assert norms[:FEATURES] == pytest.approx(lengths)
    assert np.isnan(norms[FEATURES:]).all()
    attach_scores(world.manifest, "other")
    attachments_of(snapshot).list_again()
    assert "other.score" in columns_of(snapshot)


def test_bounds_of_any_columns_combine_and_what_is_not_known_is_left_out(
    scored: tuple[World, LoadedSnapshot],
) -> None:
    _, snapshot = scored
    columns, clustering = columns_of(snapshot), snapshot.clusterings[0]
    asked = {"score_from": "0.3", "decoder_norm_from": "0", "max_from": "0", "sort": "score"}
    query = query_of(asked, columns)
    assert query_of({k: str(v) for k, v in query.address().items()}, columns) == query
    assert matching(snapshot, clustering, query).tolist() == [0]
    listing = make_listing(snapshot, clustering, query)
    assert [column.name for column in listing.columns] == ["decoder_norm", "score"]
    assert listing.rows[0].more[1] == 0.5
    up, down = (
        matching(snapshot, clustering, query_of({"sort": "score", "down": d}, columns)).tolist()
        for d in ("0", "1")
    )
    assert (up[:2], down[:2]) == ([2, 0], [0, 2])  # those without a score are last in both
    assert query_of({"nothing_from": "1", "sort": "nothing", "columns": "nothing,max"}) == query_of(
        {}
    )


@pytest.mark.asyncio
async def test_pages_show_and_say_the_columns(scored: tuple[World, LoadedSnapshot]) -> None:
    world, snapshot = scored
    asked = {"columns": "score", "sort": "encoder_norm"}
    page = run_path(Shelf({"demo": snapshot}), "/runs/demo/features/sae/", asked)
    assert isinstance(page, Page)
    listed = page.data()["listing"]
    assert {"name", "title", "note", "unit", "meaning"} == set(listed["columns"][0])
    by_label = {row["label"]: row["more"] for row in listed["rows"]}
    assert by_label["0"]["score"] == 0.5
    assert by_label["3"]["score"] is None
    assert by_label["1"]["encoder_norm"] > 0
    async with browser_of(SnapshotWatch(lambda: [world.manifest], interval=60)) as browser:
        address = "/runs/demo/features/sae/?columns=score&score_from=0.5&domain=prose"
        status, html = await fetched(browser, address)
    assert status == 200
    assert (
        'name="score_from" aria-label="Score, from" inputmode="decimal" size="7" value="0.5"'
        in html
    )
    assert '<td class="num" data-name="score">0.500</td>' in html
    assert "In prose" in html


def test_a_column_that_cannot_be_read_has_no_numbers(manifest: RunManifest) -> None:
    snapshot = open_snapshot(manifest)
    stored = replace(columns_of(snapshot)["max"], key="lost", stored=_lost(manifest))
    assert np.isnan(values_of(snapshot, stored)).all()


def _lost(manifest: RunManifest) -> Stored:
    return Stored(manifest, "nowhere", "score", "cluster")


@pytest.fixture
def by_domain(tmp_path: Path, given: Given) -> LoadedSnapshot:
    """The small snapshot with the tables of the statistic ``domains``."""
    manifest = write_snapshot(str(tmp_path), given)
    tables = {
        DOMAINS: {"domain": ["", "<b>bold</b>", "prose"], "tokens": [1, 2, 3], "rows": [1, 1, 1]},
        FIRINGS: {
            "cluster": [0, 0, 2, 99],
            "domain": ["prose", "<b>bold</b>", "prose", "prose"],
            "firing_tokens": [1, 2, 3, 4],
            "firing_rows": [1, 1, 1, 1],
        },
    }
    for form, columns in tables.items():
        table = form.table(columns)
        entry = table_entry(form, table_hash(form.schema, [table]), content=True)
        part = write_part(
            open_store(manifest.store), "demo", form.name, 0, table, schema=form.schema
        )
        manifest = replace(
            manifest, tables=(*manifest.tables, entry), files=(*manifest.files, part)
        )
    return open_snapshot(manifest)


def test_shares_in_a_domain_are_counted_where_the_run_did(
    by_domain: LoadedSnapshot, snapshot: LoadedSnapshot, given: Given
) -> None:
    assert counted(by_domain)
    assert domain_names(by_domain) == ("<b>bold</b>", "prose")
    share = share_in_domain(by_domain, "prose")
    fired = by_domain.firing_tokens
    assert share[[0, 1, 2]].tolist() == [1 / fired[0], 0, 3 / fired[2]]
    assert np.isnan(share[3])  # it is never active
    assert not share_in_domain(by_domain, "no such domain").any()
    assert not counted(snapshot)
    shares = [share_in_domain(snapshot, domain)[0] for domain in domain_names(snapshot)]
    assert sum(shares) == pytest.approx(1)
    rows = np.flatnonzero((given.values[0] > 0).any(axis=1))
    of_prose = [given.rows[row][0].domain == "prose" for row in rows]
    assert share_in_domain(snapshot, "prose")[0] == pytest.approx(np.mean(of_prose))


def test_a_list_is_bounded_by_the_share_in_a_domain(by_domain: LoadedSnapshot) -> None:
    clustering = by_domain.clusterings[0]

    def found(**asked: str) -> list[int]:
        return matching(by_domain, clustering, query_of(asked)).tolist()

    assert found(domain="prose") == [0, 2]
    assert found(domain="prose", sort="domain", down="1")[0] == max(
        (0, 2), key=lambda c: share_in_domain(by_domain, "prose")[c]
    )
    assert found(domain="prose", domain_from="1.1") == []
    assert found(domain_from="1.1") == found()  # without a domain it says nothing
    column = make_listing(by_domain, clustering, query_of({"domain": "prose"})).columns[0]
    assert isinstance(column, Column)
    assert (column.title, column.meaning) == ("In prose", "exact")
