"""Vectors of clusters: of which texts they are, and the ranking against a plain one."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from downstream.derived.attach import write_derived
from downstream.derived.derivation import Derived
from downstream.labelling import cluster_embeddings as making
from downstream.labelling.cluster_embeddings import cluster_embeddings
from downstream.labelling.context_text import plain
from downstream.reading import embeddings as reading
from downstream.reading.embeddings import EMBEDDINGS, Embeddings, read_embeddings, stored
from downstream.reading.made_labels import LABELS
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from streams.snapshots.annotations import Annotation, write_annotation
from streams.snapshots.store import open_store
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.labelling.sentences import WIDTH, stand_in, word_hashes


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """A snapshot whose clusters 0 and 2 have labels by a program, and 2 and 6 by people."""
    snapshot = Snapshot(write_snapshot(str(tmp_path), small()))
    rows = {"cluster": [0, 2], "label": ["articles", "cats"], "author": ["a", "a"]}
    made = Derived({LABELS: LABELS.table(rows)}, {})
    write_derived("labels", snapshot, made, created="2031", name="m")
    store = open_store(str(tmp_path))
    for clustering, label, text in (("features/sae", "2", "two\nlines"), ("odd", "both", "odd")):
        write_annotation(store, Annotation("demo", clustering, 0, label, "label", text, "me", AT))
    return snapshot


AT = "2031-05-06T07:08:09+00:00"


def attached(snapshot: Snapshot, made: Derived):
    return write_derived("embeddings", snapshot, made, created="2031", name="x")


def test_people_come_first_and_every_vector_is_that_of_its_text(snapshot, monkeypatch):
    monkeypatch.setattr(making, "_AT_ONCE", 3)
    done = []
    made = cluster_embeddings(snapshot, stand_in(), contexts=2, advance=done.append)
    assert sum(done) == len(snapshot.clusters)
    rows = {row["cluster"]: row for row in made.tables[EMBEDDINGS].to_pylist()}
    labels = {cluster: row["label"] for cluster, row in rows.items() if row["label"]}
    assert labels == {0: "articles", 2: "two⏎lines", 5: "odd"}
    assert made.provenance["labels"] == {"people": 2, "made": 1}
    assert (made.provenance["model_sha256"], made.provenance["width"]) == ("c" * 64, WIDTH)
    for number, row in enumerate(snapshot.clusters.to_pylist()):
        cluster = snapshot.cluster(row["label"], row["clustering"], row["iteration"])
        examples = cluster.examples(k=2)
        assert (number in rows) == bool(len(examples) or number in labels)
        if number not in rows:
            continue
        cells = {
            "label_vector": labels.get(number, ""),
            "contexts_vector": " … ".join(plain(each.text).strip() for each in examples),
        }
        for column, text in cells.items():
            expected = stored(word_hashes([text]))[0] if text else b""
            assert rows[number][column] == expected


def plain_ranking(rows: pa.Table, query: np.ndarray) -> dict[int, float]:
    found = {}
    for row in rows.to_pylist():
        cosines = [
            float(np.frombuffer(row[name], "<f2").astype(np.float64) @ query)
            for name in ("label_vector", "contexts_vector")
            if row[name]
        ]
        found[row["cluster"]] = max(cosines)
    return found


@settings(max_examples=25, deadline=None)
@over(st.data())
def test_similarities_are_those_of_a_plain_loop(data):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "_ROWS", data.draw(st.integers(1, 9)))
        check_similarities(data)


def check_similarities(data):
    clusters = data.draw(st.integers(1, 40))
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(2, clusters, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[random.random((2, clusters)) < 0.3] = 0
    query = random.normal(size=5).astype(np.float32)
    query /= np.linalg.norm(query)
    first = data.draw(st.integers(0, clusters))
    stop = data.draw(st.integers(first, clusters))
    with tempfile.TemporaryFile() as file:
        file.write(vectors.astype("<f2").tobytes())
        file.flush()
        made = Embeddings("m", "c", clusters, 5, file)
        found = made.similarities(query, slice(first, stop))
    for cluster, similarity in zip(range(first, stop), found, strict=True):
        there = [v[cluster] for v in vectors.astype("<f2") if v[cluster].any()]
        if not there:
            assert np.isnan(similarity)
        else:
            expected = max(sum(float(a) * float(b) for a, b in zip(v, query, strict=True))
                           for v in there)  # fmt: skip
            assert similarity == pytest.approx(expected, abs=1e-5)


def test_what_was_attached_is_read_and_ranks_as_a_plain_loop_does(snapshot):
    made = cluster_embeddings(snapshot, stand_in())
    read = read_embeddings(attached(snapshot, made), len(snapshot.clusters))
    query = word_hashes(["articles"])[0]
    found = read.similarities(query, slice(0, len(snapshot.clusters)))
    expected = plain_ranking(made.tables[EMBEDDINGS], query)
    assert set(np.flatnonzero(np.isfinite(found))) == set(expected)
    for cluster, similarity in expected.items():
        assert found[cluster] == pytest.approx(similarity, abs=1e-5)
    assert np.nanargmax(found) == 0  # by its label


BAD = {
    "other clusters": lambda t, p: (
        t.set_column(0, "cluster", pa.array([99] * len(t), "int32")),
        p,
    ),
    "other width": lambda t, p: (t, p | {"width": WIDTH + 1}),
    "no width": lambda t, p: (t, p | {"width": "wide"}),
    "no model": lambda t, p: (t, {n: v for n, v in p.items() if n != "model_sha256"}),
    "NaN": lambda t, p: (with_vector(t, np.full(WIDTH, np.nan)), p),
    "too long": lambda t, p: (with_vector(t, np.full(WIDTH, 1.0)), p),
}


def with_vector(table: pa.Table, vector: np.ndarray) -> pa.Table:
    cells = [vector.astype("<f2").tobytes()] * len(table)
    return table.set_column(2, "label_vector", pa.array(cells, pa.binary()))


@pytest.mark.parametrize("bad", BAD)
def test_an_attachment_that_makes_no_sense_is_refused(snapshot, bad):
    made = cluster_embeddings(snapshot, stand_in())
    table, provenance = BAD[bad](made.tables[EMBEDDINGS], dict(made.provenance))
    wrong = attached(snapshot, replace(made, tables={EMBEDDINGS: table}, provenance=provenance))
    with pytest.raises(SnapshotError):
        read_embeddings(wrong, len(snapshot.clusters))


def test_nothing_to_embed_is_said(tmp_path):
    given = small()
    given.values[:] = 0
    snapshot = Snapshot(write_snapshot(str(tmp_path), given))
    with pytest.raises(SnapshotError, match="nothing to embed"):
        cluster_embeddings(snapshot, stand_in())
