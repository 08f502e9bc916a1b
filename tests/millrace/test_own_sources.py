"""Sources that compute, through the program: a class of the user's and a decomposed layer."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.consumers.sources.decompositions import MODULE, random_layer, save_decomposition
from tests.millrace.conftest import Program
from tests.millrace.test_run import SMALL, snapshot_of
from tests.models_on_disk import save_model

HOOK = "blocks.1.hook_resid_post"


@pytest.mark.filterwarnings("ignore")
def test_a_worker_takes_a_class_from_its_own_settings_alone(
    program: Program, tmp_path: Path, broker: str
) -> None:
    save_model(tmp_path / "gpt2", "gpt2")
    (tmp_path / "text.txt").write_text(" ".join(f"w{n * n % 60}" for n in range(150)))
    save_file({"W": torch.eye(32)[:, :4].contiguous()}, tmp_path / "w.safetensors")
    save_decomposition(tmp_path / "spd.safetensors", random_layer("mlp"))
    settings, others = tmp_path / "run.toml", tmp_path / "others.toml"
    settings.write_text(f"""
[corpus]
text = ["text.txt"]
[model]
path = "gpt2"
[[decomposed]]
name = "spd"
path = "spd.safetensors"
module = "{MODULE}"
hook = "{HOOK}"
[[own_sources]]
name = "mine"
python = "tests.consumers.sources.rectified:Rectified"
hook = "{HOOK}"
options = {{path = "{tmp_path / "w.safetensors"}"}}
""")
    given = ("--broker", broker, "--settings")
    manifest = snapshot_of(program("run", *given, settings, *SMALL))
    assert [(each["name"], each["kind"]) for each in manifest.about["sources"]] == [
        ("spd", "decomposed"),
        ("mine", "own"),
    ]
    others.write_text("")
    for verb in ("oracle", "activations"):
        said = program(verb, *given, others, "--run", "run").refusal()
        assert "'mine' is computed by tests.consumers.sources.rectified:Rectified?{" in said
    ended = program("oracle", *given, settings, "--run", "run")
    assert ended.out.split()[1] == manifest.content
    ended = program("activations", *given, settings, "--run", "run", "--until-done")
    assert ended.status == 0, ended.lines
