"""Hooks by other names: what other tools call them is understood, the rest gets a near name."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from consumers.models.hook_names import hook_named
from consumers.models.loading import load_model
from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.runs.specs import RunSpec
from streams.errors import ModelError
from streams.records.corpus import CorpusRecord
from tests.consumers.conftest import with_source
from tests.consumers.created import create_run
from tests.models_on_disk import save_dictionary, save_model

POST = "blocks.1.hook_resid_post"
SAME = {
    "llama": {
        "model.layers.1": POST,
        "layers.1": POST,
        "transformer.h.1": POST,
        "blocks.1": POST,
        "resid_post_layer_1": POST,
        "blocks.1.resid_post": POST,
        "blocks.1.hook_resid_mid": "blocks.1.hook_resid_mid",
        "layers.1.resid_pre": "blocks.1.hook_resid_pre",
        "model.layers.1.output": POST,
    },
    "gpt2": {"transformer.h.1": POST, "h.1": POST, "L1.resid_post": POST, "mlp_out_2": "2.mlp_out"},
    "neox": {"gpt_neox.layers.1": POST, "layers.1": POST},
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shapes")
    return cache(lambda shape: load_model(str(save_model(folder / shape, shape)), "cpu"))


@pytest.mark.parametrize(
    ("shape", "name", "hook"),
    [(shape, name, hook) for shape, names in SAME.items() for name, hook in names.items()],
)
def test_a_name_of_another_tool_is_the_hook_that_it_means(
    shape: str, name: str, hook: str, loaded: Any
) -> None:
    hook = hook.replace("2.mlp_out", "blocks.2.hook_mlp_out")
    assert hook_named(name, loaded(shape)) == hook


@pytest.mark.parametrize("name", ["layers.1.mlp", "model.layers.1.mlp", "transformer.h.1.mlp"])
def test_a_part_of_a_block_is_what_it_gives(name: str, loaded: Any) -> None:
    model = loaded("llama")
    hook = hook_named(name, model)
    assert model.net.hook_dict[hook] is model.net.hook_dict["blocks.1.hook_mlp_out"]


@pytest.mark.parametrize(
    "name", ["layers.9", "resid_post", "resid_post_1_2", "blocks.1.hook_resid_postt", "nonsense"]
)
def test_what_cannot_be_told_stays_and_is_refused_with_near_names(name: str, loaded: Any) -> None:
    model = loaded("llama")
    assert hook_named(name, model) == name
    with pytest.raises(ModelError, match=f"no hook '{name}'"):
        model.widths([name])


def test_the_translation_is_said_and_the_record_holds_the_hook(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    folder = save_dictionary(tmp_path, "standard", hook="transformer.h.1")
    run = create_run(with_source(spec, path=str(folder)), corpus)
    assert run.sources[0].hook == POST
    assert f"hook 'transformer.h.1' of dictionary 'sae' is read as {POST}" in run.warnings
    assert load_engine(make_plan(run), "cpu").sources[0].hook == POST
    assert create_run(replace(spec), corpus).warnings == ()
