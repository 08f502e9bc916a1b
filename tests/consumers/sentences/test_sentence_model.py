"""The sentence model against the plain mean over tokens, one text at a time."""

import shutil

import numpy as np
import pytest

from consumers.sentences.sentence_model import load_sentence_model
from streams.errors import ModelError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "rock", "sat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("sentences")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=300,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


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


def test_a_folder_without_a_model_is_named(folder, tmp_path):
    with pytest.raises(ModelError, match=r"there is no config\.json"):
        load_sentence_model(tmp_path)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="no sentence model"):
        load_sentence_model(tmp_path)
