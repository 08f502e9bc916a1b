"""The public reader: a store to tables, features, clusters, examples."""

import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

import millrace
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError, UserError
from streams.snapshots.manifests import RunManifest
from tests.downstream.dashboard.snapshot_files import Given, small, write_snapshot


@pytest.fixture(scope="module")
def given() -> Given:
    """What the small snapshot is made of."""
    return small()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, given: Given) -> Path:
    """A store of two runs, one of which has two snapshots."""
    folder = tmp_path_factory.mktemp("store")
    write_snapshot(str(folder), given)
    write_snapshot(str(folder), given, snapshot="noon", final=False)
    write_snapshot(str(folder), given, run="other")
    return folder


@pytest.fixture(scope="module")
def opened(store: Path) -> Snapshot:
    """The small snapshot, opened."""
    return millrace.open(store, run="demo")


@pytest.mark.parametrize("inner", ["", "demo", "demo/final", "demo/final/manifest.json"])
def test_a_snapshot_is_found_from_the_store_the_run_or_itself(store: Path, inner: str) -> None:
    found = millrace.open(store / inner, run="demo")
    assert (found.run, found.name) == ("demo", "final")
    assert len(found.clusters) == 11


def test_another_snapshot_is_found_by_its_name(store: Path) -> None:
    assert millrace.open(str(store), run="demo", snapshot="noon").name == "noon"
    assert millrace.open(store / "other").run == "other"


@pytest.mark.parametrize(
    ("inner", "asked", "line"),
    [
        ("", {}, "holds several runs: name one of demo, other"),
        ("", {"run": "none"}, r"has no run 'none' \(there are: demo, other\)"),
        ("demo", {"snapshot": "x"}, r"has no snapshot 'x' \(there are: final, noon\)"),
        ("demo/final", {"run": "other"}, "holds snapshot 'final' of run 'demo', not"),
        ("demo/parts", {}, "it is no store, run or snapshot"),
        ("nowhere", {}, "it is no store, run or snapshot"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(
    store: Path, inner: str, asked: dict[str, str], line: str
) -> None:
    with pytest.raises(SnapshotError, match=line):
        millrace.open(store / inner, **asked)


def test_a_store_that_was_moved_is_read_where_it_is(store: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(store, tmp_path / "moved")
    found = millrace.open(tmp_path / "moved", run="demo")
    assert found.manifest.store.endswith("moved")
    assert found.verify() == found.content


def test_features_have_the_numbers_of_their_clusters_of_one(opened: Snapshot) -> None:
    frame = opened.features.to_pandas()
    assert frame["index"].tolist() == [0, 1, 2, 3, 4]
    clusters = opened.clusters.to_pandas()
    for row in frame.itertuples(index=False):
        alone = clusters[(clusters.clustering == "features/sae") & (clusters.label == str(row[2]))]
        assert row.cluster == alone.cluster.item()
        assert row.max_activation == alone.max_activation.item()
    assert opened.features.about("max_activation").unit == "activation"


def test_tables_go_to_other_programs(opened: Snapshot) -> None:
    assert opened.clusters.to_polars().height == len(opened.clusters)
    table = opened.table("hits", columns=["cluster", "score"], filters=[("rank", "==", 0)])
    assert table.column_names == ["cluster", "score"]
    arrow = table.arrow  # noqa: F841 - DuckDB finds it by its name
    assert duckdb.sql("select count(*) from arrow").fetchall() == [(len(table),)]


def test_a_package_that_is_missing_is_named(
    opened: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UserError, match="to_polars needs the package polars"):
        opened.clusters.to_polars()


def test_examples_are_the_tokens_and_activations_of_their_rows(
    opened: Snapshot, given: Given
) -> None:
    feature = opened.feature("sae:0")
    assert feature["max_activation"] == pytest.approx(float(given.values[0].max()))
    examples = feature.examples()
    assert [e.rank for e in examples] == list(range(len(examples)))
    scores = given.values[0].max(axis=1)
    assert [e.score for e in examples] == sorted(scores[scores > 0].tolist(), reverse=True)
    for example in examples:
        rows = [r for r, (_, ids) in enumerate(given.rows) if tuple(ids) == example.token_ids]
        values = given.values[0, rows[0], : len(example.token_ids)]
        assert example.activations == pytest.approx(values.tolist())
        assert example.text.encode() == b"".join(given.vocabulary[i] for i in example.token_ids)
        assert int(np.argmax(values)) == example.peak
        assert example.members["sae:0"][example.peak] == pytest.approx(example.score)


def test_the_shaded_text_of_a_notebook_is_escaped(opened: Snapshot) -> None:
    html = "".join(
        each._repr_html_()
        for label in ("0", "1", "2")
        for each in (opened.feature(label), opened.feature(label).examples())
    )
    html += opened.cluster("<script>alert(3)</script>", "odd")._repr_html_()
    html += opened.clusters._repr_html_() + opened._repr_html_()
    assert "<script" not in html
    assert "&lt;script" in html
    assert "rgba(" in html


def test_coactivation_is_that_of_the_table(opened: Snapshot) -> None:
    cluster = opened.cluster("both", "odd")
    found = cluster.coactivation().to_pylist()
    pairs = opened.table("coactivation").to_pylist()
    expected = {
        (p["cluster_b"] if p["cluster_a"] == cluster.number else p["cluster_a"]): p["tokens"]
        for p in pairs
        if cluster.number in (p["cluster_a"], p["cluster_b"])
    }
    assert {row["cluster"]: row["tokens"] for row in found} == expected
    assert [row["jaccard"] for row in found] == sorted((r["jaccard"] for r in found), reverse=True)


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda s: s.feature("sae:99"), "there is no '99' in features/sae"),
        (lambda s: s.cluster("0"), "say which clustering"),
        (lambda s: s.table("nothing"), r"there is no table 'nothing' \(there are: clusters"),
        (lambda s: s.table("hits", columns=["x"]), "has no column 'x'"),
        (lambda s: s.feature(0).examples("random"), r"no ranking 'random' \(there are: maximum"),
        (lambda s: s.attachment("logits"), r"no attachment logits/default \(there are: none"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_said_in_one_line(opened: Snapshot, ask, line: str) -> None:
    with pytest.raises(SnapshotError, match=line):
        ask(opened)


def test_nothing_is_read_before_it_is_asked_for(store: Path, monkeypatch) -> None:
    from downstream.reading import snapshot

    asked: list[str] = []
    real = snapshot.read_table  # type: ignore[attr-defined]
    monkeypatch.setattr(
        snapshot, "read_table", lambda m, name, **more: asked.append(name) or real(m, name, **more)
    )
    found = millrace.open(store, run="demo")
    assert asked == []
    assert found.clusters is found.clusters
    assert asked == ["clusters"]


def test_tables_and_columns_that_nobody_knows_are_passed_over(opened: Snapshot) -> None:
    from dataclasses import replace

    entry = opened.manifest.tables[0]
    odd = replace(entry, name="of-another-release")
    grown: RunManifest = replace(opened.manifest, tables=(*opened.manifest.tables, odd))
    assert len(Snapshot(grown).clusters) == len(opened.clusters)
    assert "of-another-release" in Snapshot(grown).tables


def test_the_reader_is_imported_soon_and_without_torch_faust_or_kafka() -> None:
    code = (
        "import time, sys; begun = time.process_time(); import millrace; "
        "plain = time.process_time() - begun; import downstream.reading.snapshot; "
        "print(plain, time.process_time() - begun, *sys.modules)"
    )
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        plain, whole, *modules = done.stdout.split()
        roots = {module.partition(".")[0] for module in modules}
        assert not roots & {
            "torch",
            "faust",
            "mode",
            "kafka",
            "aiokafka",
            "transformers",
            "sae_lens",
        }
        runs.append((float(plain), float(whole)))
    assert min(plain for plain, _ in runs) < 0.1
    assert min(whole for _, whole in runs) < 1.0
