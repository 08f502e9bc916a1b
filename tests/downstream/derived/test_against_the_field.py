"""The logit lens against transformer-lens' unembedding and SAELens' dictionary."""

import warnings

import numpy as np
import pytest

from downstream.derived.dictionaries import read_dictionary
from downstream.derived.output_weights import output_weights
from downstream.derived.unembedding import find_unembedding
from tests.models_on_disk import save_dictionary, save_model


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_folded_is_what_transformer_lens_folds_and_raw_is_what_it_loads(tmp_path, shape):
    from consumers.models.loading import load_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import SAE

    model = save_model(tmp_path / "model", shape)
    place = save_dictionary(tmp_path / "sae", "standard")
    sae = SAE.load_from_disk(place, device="cpu")
    source = {"name": "sae", "kind": "dictionary", "location": str(place), "hook": "x"}
    decoder = read_dictionary(source).decoder
    np.testing.assert_array_equal(decoder, sae.W_dec.detach().numpy())
    np.testing.assert_array_equal(read_dictionary(source).encoder, sae.W_enc.detach().numpy().T)
    unembedding = find_unembedding(str(model))
    for processing, directions in (
        ((), decoder),
        (("fold_ln", "center_writing_weights"), unembedding.folded(decoder)),  # type: ignore[arg-type]
    ):
        net = load_model(str(model), "cpu", processing=processing).net
        theirs = (sae.W_dec @ net.W_U).detach().numpy()
        ours = directions @ unembedding.weights.T  # type: ignore[operator]
        # What is added to all tokens of a direction alike is no part of the convention.
        theirs, ours = (each - each.mean(axis=1, keepdims=True) for each in (theirs, ours))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("shape", ["gpt2", "llama", "neox", "opt", "gptj"])
def test_values_of_neurons_and_heads_go_through_the_weights_that_transformer_lens_has(
    tmp_path, shape
):
    from consumers.models.loading import load_model

    model = find_unembedding(str(save_model(tmp_path / "model", shape)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block = load_model(model.location, "cpu", processing=()).net.blocks[1]
    theirs = {"mlp.hook_post": block.mlp.W_out, "attn.hook_z": block.attn.W_O.flatten(0, 1)}
    for hook, expected in theirs.items():
        _, ours = output_weights(model, f"blocks.1.{hook}")
        np.testing.assert_array_equal(ours, expected.detach().numpy())
