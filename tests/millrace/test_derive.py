"""Attachments at the command line: written, read back, refused in one line."""

import json
import shutil
import sys

import pytest

import millrace
from millrace.deriving import places
from streams.errors import SettingsError
from tests.downstream.derived.conftest import write_dictionary, written


@pytest.fixture
def world(tmp_path):
    return written(tmp_path / "store", tmp_path / "weights")


def test_all_kinds_are_attached_and_found_by_the_reader(program, world):
    ended = program("derive", "all", world.manifest.store)
    assert (ended.status, ended.lines) == (0, [])
    *made, tokens, coactivation, neurons = ended.out.splitlines()
    assert made == [
        "logit_lens/default: 20 rows",
        "neighbours/default: 40 rows",
        "norms/default: 10 rows",
        "feature_map/default: 10 rows",
        "geometry/default: 1 rows",
    ]
    assert tokens.startswith("tokens: not made: ")
    assert coactivation.startswith("coactivation: not made: shared rows need the ranking 'shared'")
    assert neurons.startswith("correlated_neurons: not made: correlated neurons need a source of")
    opened = millrace.open(world.manifest.store)
    assert len(opened.attachment("logit_lens")["logit_lens"]) == 20
    (lens,) = (each for each in opened.attachments if each.kind == "logit_lens")
    assert lens.provenance["dictionaries"][0]["compared_with_run"] is False


def test_weights_that_were_moved_are_named_by_options(program, world, tmp_path):
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "weights", moved)
    store = world.manifest.store
    assert "say --dictionary sae=FOLDER" in program("derive", "norms", store).refusal()
    names = [f"--dictionary={name}={moved / name}" for name in ("sae", "sae-2")]
    assert "--model" in program("derive", "logit_lens", store, *names).refusal()
    ended = program(
        "derive", "logit_lens", store, *names, "--model", moved / "model", "--name", "x"
    )
    assert ended.out == "logit_lens/x: 20 rows\n"


def test_neighbours_in_another_dictionary_stand_beside_those_of_the_run(program, world, tmp_path):
    write_dictionary(tmp_path / "third", seed=9, features=7)
    other = f"third={tmp_path / 'third'}"
    ended = program("derive", "neighbours", world.manifest.store, "--other", other, "--k", 2)
    assert ended.out == "neighbours/default: 60 rows\n"


def test_what_one_kind_lacks_does_not_stop_the_others(program, world):
    (world.model / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    ended = program("derive", "all", world.manifest.store)
    assert ended.status == 0
    assert ended.out.startswith("logit_lens: not made: ")
    assert "nothing is known of where the architecture 'abacus'" in ended.out
    assert "norms/default: 10 rows" in ended.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lens"], "unknown kind 'lens': take one of logit_lens"),
        (["norms", "--dictionary", "other=x"], "the run has no source 'other', only sae, sae-2"),
        (["norms", "--dictionary", "sae"], "write NAME=FOLDER"),
        (["norms", "--other", "sae=x"], "a source of the run has that name"),
        (["norms", "--name", ".."], "an attachment cannot be named"),
    ],
)
def test_what_cannot_be_done_is_one_line(program, world, arguments, line):
    kind, *more = arguments
    said = program("derive", kind, world.manifest.store, *more).refusal()
    assert line in said


def test_a_name_stands_once():
    with pytest.raises(SettingsError, match="names a twice"):
        places(["a=x", "a=y"], "--other")


def test_saelens_folders_need_no_torch(world, tmp_path):
    import subprocess

    code = (
        "import sys; from millrace.cli import run_program;"
        f"assert run_program(['derive', 'all', {world.manifest.store!r}]) == 0;"
        "found = {'torch', 'transformers', 'sae_lens'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_another_dictionary_than_the_run_computed_with_is_refused(program, tmp_path):
    import torch

    from consumers.sources.dictionary import load_dictionary
    from tests.models_on_disk import save_dictionary

    place = str(save_dictionary(tmp_path / "real", "standard", width=12, components=5))
    content = load_dictionary("sae", place, None, torch.device("cpu")).content
    source = {"name": "sae", "kind": "dictionary", "location": place, "components": 5}
    source |= {"hook": "blocks.1.hook_resid_post", "content": content}
    world = written(tmp_path / "store", tmp_path / "weights", sources=[source])
    ended = program("derive", "norms", world.manifest.store, "--verify")
    assert ended.out == "norms/default: 5 rows\n"
    (made,) = millrace.open(world.manifest.store).attachments
    assert made.provenance["dictionaries"][0]["compared_with_run"] is True
    save_dictionary(tmp_path / "real", "standard", width=12, components=5, seed=1)
    said = program("derive", "norms", world.manifest.store, "--verify").refusal()
    assert "is not what the run computed with" in said


def test_a_dictionary_of_another_tool_is_read_by_its_own_reader(program, tmp_path):
    import torch
    from safetensors.torch import save_file

    place = tmp_path / "layers.1"
    place.mkdir()
    decoder, encoder = torch.randn(5, 12), torch.randn(5, 12)
    weights = {"encoder.weight": encoder, "encoder.bias": torch.zeros(5), "W_dec": decoder}
    save_file(weights | {"b_dec": torch.zeros(12)}, place / "sae.safetensors")
    (place / "cfg.json").write_text('{"k": 2}')
    source = {"name": "sae", "kind": "dictionary", "location": str(place), "components": 5}
    source |= {"hook": "blocks.1.hook_resid_post"}
    world = written(tmp_path / "store", tmp_path / "weights", sources=[source])
    assert program("derive", "norms", world.manifest.store).status == 0
    rows = millrace.open(world.manifest.store).table("direction_norms").to_pandas()
    assert rows.decoder_norm.tolist() == pytest.approx(decoder.norm(dim=1).tolist())
    assert rows.encoder_norm.tolist() == pytest.approx(encoder.norm(dim=1).tolist())
