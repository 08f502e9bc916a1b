"""Each kind of attachment against a plain recomputation, written and read back."""

import importlib.util
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import millrace
from downstream.derived.attach import attach
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import Dictionary, read_dictionary, units
from downstream.derived.feature_map import umap_plane
from downstream.derived.registry import DERIVATIONS, find_derivation
from downstream.reading.snapshot import Snapshot
from streams.errors import ModelError, SettingsError, SnapshotError, UserError
from tests.downstream.derived.conftest import FEATURES, WIDTH, World, written

OF_THE_RUN = ("tokens", "coactivation", "correlated_neurons", "geometry")
"""Kinds that need what the snapshot here lacks; they have tests of their own."""

NOW = "2031-05-06T07:08:09+00:00"


def attached(world: World, kind: str, given: Given | None = None, **options: Any):
    """Attach a kind and return its tables as the reader gives them."""
    attach(find_derivation(kind), given or world.given, Options(**options), created=NOW)
    tables = millrace.open(world.manifest.store).attachment(kind)
    return {name: table.to_pandas() for name, table in tables.items()}


@pytest.mark.parametrize("kind", [each.kind for each in DERIVATIONS if each.kind not in OF_THE_RUN])
def test_a_kind_has_the_rows_of_its_forms_in_the_order_of_their_keys(world, kind):
    tables = attached(world, kind)
    forms = {form.name: form for form in find_derivation(kind).forms}
    assert list(tables) == list(forms)
    for name, table in tables.items():
        key = list(forms[name].key)
        assert len(table)
        assert table[key].apply(tuple, axis=1).is_unique
        assert table[key].sort_values(key).index.tolist() == list(range(len(table)))
    before = Snapshot(world.manifest)
    assert before.verify() == world.manifest.content


def plain_logits(world: World, source: str, convention: str):
    """Return float64 logits [feature, token] from their definition."""
    decoder = world.dictionaries[source]["W_dec"].astype(float)
    tokens = world.manifest.about["vocabulary"]
    weights = world.weights["transformer.wte.weight"].astype(float)[:tokens]
    if convention == "folded":
        decoder = decoder - decoder.mean(axis=1, keepdims=True)
        decoder = decoder @ np.diag(world.weights["transformer.ln_f.weight"].astype(float))
    return decoder @ weights.T


def test_the_logit_lens_is_the_plain_product(world):
    rows = attached(world, "logit_lens", k=4, bins=7)["logit_lens"]
    assert len(rows) == 2 * 2 * FEATURES
    for row in rows.itertuples():
        logits = plain_logits(world, row.source, row.convention)[row.index]
        assert row.feature == row.index + FEATURES * (row.source == "sae-2")
        assert row.top_tokens.tolist() == np.argsort(-logits)[:4].tolist()
        assert row.bottom_tokens.tolist() == np.argsort(logits)[:4].tolist()
        np.testing.assert_allclose(row.top_logits, np.sort(logits)[::-1][:4], rtol=1e-5)
        np.testing.assert_allclose(row.bottom_logits, np.sort(logits)[:4], rtol=1e-5)
        assert row.mean_logit == pytest.approx(logits.mean(), abs=1e-5)
        assert row.std_logit == pytest.approx(logits.std(), rel=1e-5)
        histogram, _ = np.histogram(logits, bins=7, range=(row.min_logit, row.max_logit))
        assert np.abs(row.histogram - histogram).sum() <= 2  # one may lie on an edge
        assert row.histogram.sum() == len(logits)


def test_a_direction_of_length_zero_has_a_lens_and_neighbours(world):
    def load(source):
        found = read_dictionary(source)
        still = np.zeros((FEATURES, WIDTH), np.float32)
        return Dictionary(found.name, "", "", found.writes, lambda: still, lambda: still)

    given = Given(Snapshot(world.manifest), load)
    lens = attached(world, "logit_lens", given, k=2)["logit_lens"]
    assert lens["top_tokens"].map(list).tolist() == [[0, 1]] * len(lens)
    assert {tuple(h) for h in lens["histogram"]} == {(lens["histogram"][0][0], *[0] * 49)}
    found = attached(world, "neighbours", given, k=2)["neighbours"]
    assert found["other_indices"][0].tolist() == [1, 2]
    assert not np.concatenate(found["cosines"]).any()
    assert (
        not np.isnan(attached(world, "feature_map", given)["feature_map"][["x", "y"]]).any().any()
    )


def test_the_nearest_are_those_of_scipys_cosines_within_and_between(world):
    found = attached(world, "neighbours", k=3)["neighbours"]
    assert len(found) == 2 * FEATURES * 2 * 2
    sides = {"decoder": lambda d: d["W_dec"], "encoder": lambda d: d["W_enc"].T}
    for row in found.itertuples():
        one, other = (
            sides[row.direction](world.dictionaries[n]) for n in (row.source, row.other_source)
        )
        cosines = 1 - cdist(one[[row.index]], other, "cosine")[0]
        if row.source == row.other_source:
            cosines[row.index] = -np.inf
        assert row.other_indices.tolist() == np.argsort(-cosines)[:3].tolist()
        np.testing.assert_allclose(row.cosines, np.sort(cosines)[::-1][:3], atol=1e-6)


def test_another_dictionary_of_the_width_is_compared_and_one_of_another_width_is_named(world):
    one = read_dictionary(world.manifest.about["sources"][0])
    again = Dictionary("again", "", "", "", lambda: one.encoder, lambda: one.decoder)
    narrow = Dictionary("narrow", "", "", "", lambda: one.encoder[:, :5], lambda: None)  # type: ignore[index]
    given = Given(Snapshot(world.manifest), read_dictionary, others=(again, narrow))
    derived = find_derivation("neighbours").derive(given, Options(k=1))
    rows = next(iter(derived.tables.values())).to_pandas()
    twin = rows[(rows.source == "sae") & (rows.other_source == "again")]
    assert [list(i) for i in twin.other_indices] == [[n] for n in range(FEATURES) for _ in "de"]
    np.testing.assert_allclose(np.concatenate(twin.cosines.tolist()), 1, atol=1e-6)
    assert "encoder directions of sae and narrow have 12 and 5 values" in derived.left_out
    assert "narrow has no decoder directions" in derived.left_out


def test_norms_are_lengths(world):
    found = attached(world, "norms")["direction_norms"]
    for source, arrays in world.dictionaries.items():
        rows = found[found.source == source]
        np.testing.assert_allclose(
            rows.decoder_norm, np.linalg.norm(arrays["W_dec"], axis=1), rtol=1e-6
        )
        np.testing.assert_allclose(
            rows.encoder_norm, np.linalg.norm(arrays["W_enc"], axis=0), rtol=1e-6
        )


def test_the_map_is_the_plane_of_a_singular_value_decomposition(world):
    found = attached(world, "feature_map")["feature_map"]
    for source, arrays in world.dictionaries.items():
        units = arrays["W_dec"] / np.linalg.norm(arrays["W_dec"], axis=1, keepdims=True)
        left, values, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
        plane = np.abs(left[:, :2] * values[:2])
        rows = found[found.source == source]
        np.testing.assert_allclose(np.abs(rows[["x", "y"]]), plane, atol=1e-5)


HOOK = "blocks.2.attn.hook_k"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ({"hook": HOOK}, f"sae: it writes to {HOOK}, which is not the residual stream"),
        ({"kind": "neurons", "hook": HOOK}, f"sae: values of {HOOK} are not written to the res"),
        ({"kind": "neurons"}, "neurons 'sae' are 5 values of blocks.2.hook_resid_post, and .* 12"),
        ({"kind": "own"}, "the run has no dictionary"),
        ({"hook": "blocks.2.attn.hook_z"}, "has 0 tensors named 2.attn.c_proj.weight"),
        ({"components": 9}, "has the shape .5, 12., and the run has 9 features of it"),
        ({"location": "nowhere"}, "nowhere has no sae_weights.safetensors"),
    ],
)
def test_what_has_no_logit_lens_is_refused_with_the_reason(tmp_path, source, line):
    made = written(tmp_path / "store", tmp_path / "weights")
    sources = [{**made.manifest.about["sources"][0], **source}]
    made = written(tmp_path / "other", tmp_path / "again", sources=sources)
    with pytest.raises(ModelError, match=line):
        attached(made, "logit_lens")
    assert millrace.open(made.manifest.store).attachments == ()


def test_a_decoder_of_another_width_than_the_unembedding_is_refused(world, tmp_path):
    from safetensors.numpy import save_file

    wide = {"W_enc": np.ones((13, 5), np.float32), "W_dec": np.ones((5, 13), np.float32)}
    (tmp_path / "wide").mkdir()
    save_file(wide, str(tmp_path / "wide" / "sae_weights.safetensors"))
    (tmp_path / "wide" / "cfg.json").write_text("{}")

    def load(source):
        return read_dictionary({**source, "location": str(tmp_path / "wide")})

    with pytest.raises(ModelError, match=r"writes 13 values, and the unembedding of .* reads 12"):
        attached(world, "logit_lens", Given(Snapshot(world.manifest), load))


def test_directions_that_are_not_finite_are_refused(world):
    bad = np.full((FEATURES, WIDTH), np.nan, np.float32)

    def load(source):
        return Dictionary(str(source["name"]), "here", "", "", lambda: bad, lambda: bad)

    for kind in ("neighbours", "norms", "feature_map"):
        with pytest.raises(ModelError, match=r"source 'sae' in here: its .* is not finite"):
            attached(world, kind, Given(Snapshot(world.manifest), load))


def test_a_transcoder_writes_where_its_metadata_says(tmp_path):
    made = written(tmp_path / "store", tmp_path / "weights")
    config = (
        '{"architecture": "transcoder", "metadata": {"hook_name_out": "blocks.1.hook_mlp_out"}}'
    )
    source = made.manifest.about["sources"][0]
    (tmp_path / "weights" / "sae" / "cfg.json").write_text(config)
    assert read_dictionary(source).writes == "blocks.1.hook_mlp_out"
    assert read_dictionary(source).reads == source["hook"]


def test_weight_components_are_read_along_and_write_nowhere(tmp_path):
    from safetensors.numpy import save_file

    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    save_file({"V": matrix}, str(tmp_path / "parts.safetensors"))
    place = f"{tmp_path}/parts.safetensors#V"
    found = read_dictionary(
        {"name": "parts", "kind": "weights", "location": place, "components": 3}
    )
    np.testing.assert_array_equal(found.encoder, matrix.T)
    assert found.decoder is None
    with pytest.raises(ModelError, match="have the shape"):
        read_dictionary({"name": "parts", "kind": "weights", "location": place, "components": 4})


def test_a_kind_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UserError, match="unknown kind 'lens': take one of logit_lens, neighbours"):
        find_derivation("lens")


def test_a_snapshot_that_is_not_final_gets_nothing(tmp_path):
    made = written(tmp_path / "store", tmp_path / "weights")
    given = Given(Snapshot(replace(made.manifest, final=False)), read_dictionary)
    with pytest.raises(SnapshotError, match="is not final"):
        attached(made, "norms", given)


@pytest.mark.filterwarnings("ignore")
def test_a_map_by_umap_keeps_neighbours_near_or_says_what_is_missing(world, monkeypatch):
    if importlib.util.find_spec("umap"):
        chance = np.random.default_rng(0)
        groups = np.repeat(chance.standard_normal((3, WIDTH)), 40, axis=0)
        points = units((groups + 0.05 * chance.standard_normal(groups.shape)).astype(np.float32))
        places, how = umap_plane(points)
        assert how["metric"] == "cosine"
        apart = np.linalg.norm(places[:, None] - places, axis=2)
        near = apart.argsort(axis=1)[:, 1:9] // 40
        assert (near == np.arange(len(places))[:, None] // 40).mean() > 0.95
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(SettingsError, match="umap-learn, which is not installed here; --map pca"):
        attached(world, "feature_map", projection="umap")


def test_neurons_have_the_lens_of_their_rows_of_the_output_matrix(tmp_path):
    from safetensors.numpy import save_file

    source = written(tmp_path / "store", tmp_path / "weights").manifest.about["sources"][0]
    source = {**source, "kind": "neurons", "hook": "blocks.2.mlp.hook_post"}
    made = written(tmp_path / "other", tmp_path / "again", sources=[source])
    matrix = np.random.default_rng(5).standard_normal((FEATURES, WIDTH)).astype(np.float32)
    weights = {**made.weights, "transformer.h.2.mlp.c_proj.weight": matrix}
    save_file(weights, str(made.model / "model.safetensors"))
    rows = attached(made, "logit_lens", k=3)["logit_lens"]
    logits = matrix @ made.weights["transformer.wte.weight"][: made.given.tokens].T
    raw = rows[rows.convention == "raw"]
    assert np.stack(raw["top_tokens"]).tolist() == np.argsort(-logits)[:, :3].tolist()
    (attachment,) = millrace.open(made.manifest.store).attachments
    (said,) = attachment.provenance["dictionaries"]
    assert said["through"] == "transformer.h.2.mlp.c_proj.weight"
