"""The published code is the reference: where transformer-lens is off, its values are not taken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.models import agreement
from consumers.models.agreement import with_forward
from consumers.models.language_model import Fidelity, LanguageModel
from consumers.models.loading import load_model
from consumers.models.published import difference, observe
from consumers.models.twins import NoTwinError
from consumers.runs.specs import NeuronsSpec, RunSpec
from streams.errors import ModelError
from streams.records.corpus import CorpusRecord
from tests.consumers.created import create_run
from tests.models_on_disk import CONTEXT, save_model

OUT = "blocks.1.hook_out"
PATTERN = "blocks.1.attn.hook_pattern"


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A model that transformer-lens 3.9 computes otherwise than published: its rotary positions."""
    folder = save_model(tmp_path_factory.mktemp("off"), "cohere", initializer_range=0.3)
    return load_model(str(folder), "cpu")


def published(model: LanguageModel, ids: torch.Tensor) -> torch.Tensor:
    """Return what transformers gives after the second block, loaded apart."""
    from transformers import AutoModelForCausalLM

    net: Any = AutoModelForCausalLM.from_pretrained(model.location, attn_implementation="eager")
    seen = observe(net.eval(), 64, CONTEXT)
    assert seen is not None
    kept: list[Any] = []
    block = net.get_submodule(list(seen.blocks)[1])
    block.register_forward_hook(lambda _m, _a, out: kept.append(out))
    with torch.inference_mode():
        net(input_ids=ids, use_cache=False)
    value: torch.Tensor = kept[0] if isinstance(kept[0], torch.Tensor) else kept[0][0]
    return value


def ids() -> torch.Tensor:
    return torch.randint(64, (3, CONTEXT), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wanted", ["auto", "transformers-eager", "transformers"])
def test_the_published_values_are_taken_and_it_is_said(off: LanguageModel, wanted: Any) -> None:
    assert difference(published(off, ids()), off.run(ids(), [OUT])[OUT]) > 0.05
    chosen = with_forward(off, [OUT], wanted, CONTEXT)
    assert difference(published(off, ids()), chosen.run(ids(), [OUT])[OUT]) < 1e-5
    assert chosen.warnings == (chosen.reason,)
    assert chosen.reason.startswith("transformer-lens differs from transformers' own eager forward")
    assert chosen.reason.endswith("; the published values are taken")


def test_transformer_lens_is_taken_where_the_settings_want_it(off: LanguageModel) -> None:
    chosen = with_forward(off, [OUT], "transformer-lens", CONTEXT)
    assert chosen.run(ids(), [OUT])[OUT].equal(off.run(ids(), [OUT])[OUT])
    assert "its values are taken, as the settings want it" in chosen.warnings[0]


def test_a_hook_that_only_the_wrong_one_gives_is_refused_with_the_figure(
    off: LanguageModel,
) -> None:
    with pytest.raises(ModelError, match=rf"gives {PATTERN}, and .* own eager forward by \d\.\de"):
        with_forward(off, [PATTERN], "auto", CONTEXT)
    chosen = with_forward(off, [PATTERN], "transformer-lens", CONTEXT)
    assert "differs from transformers' own eager forward by" in chosen.reason


def test_a_hook_before_the_first_difference_is_no_reason_to_refuse(off: LanguageModel) -> None:
    assert with_forward(off, ["hook_embed"], "auto", CONTEXT).warnings == ()


def test_the_record_holds_the_forward_and_the_reason(
    off: LanguageModel, spec: RunSpec, corpus: CorpusRecord
) -> None:
    own = replace(
        spec,
        model=replace(spec.model, path=off.location),
        sources=(NeuronsSpec("neurons", hook=OUT),),
    )
    run = create_run(own, corpus)
    assert run.model.forward == "transformers-onednn"
    assert run.model.reason in run.warnings


def test_fused_attention_that_is_off_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(str(save_model(tmp_path, "llama")), "cpu")

    def wrong(make: Any) -> Any:
        def made(bridge: Any, hooks: Any) -> Any:
            twin = make(bridge, hooks)
            twin.net.model.layers[0].self_attn.scaling *= 1.5
            return twin

        return made

    makers = {
        name: wrong(make) if name != "transformers-eager" else make
        for name, make in agreement._MAKERS.items()
    }
    monkeypatch.setattr(agreement, "_MAKERS", makers)
    chosen = with_forward(model, [OUT], "auto", CONTEXT)
    assert chosen.forward == "transformers-eager"
    assert chosen.run(ids(), [OUT])[OUT].equal(published(model, ids()))
    assert "fused attention is not used: at blocks.1.hook_out it differs by" in chosen.reason


def test_weights_that_the_bridge_changed_are_no_reference(tmp_path: Path) -> None:
    model = load_model(str(save_model(tmp_path, "llama")), "cpu")
    assert model.fidelity is not None
    assert max(model.fidelity.bridge) < 1e-5 > max(model.fidelity.twin)
    changed = replace(model, fidelity=Fidelity(model.fidelity.bridge, (0.0, 0.5, 0.5)))
    chosen = with_forward(changed, [OUT], "auto", CONTEXT)
    assert chosen.forward == "transformer-lens"
    both = replace(model, fidelity=Fidelity((0.0, 0.5, 0.5), (0.0, 0.5, 0.5)))
    with pytest.raises(ModelError, match=r"5\.0e-01 after block 1"):
        with_forward(both, [OUT], "auto", CONTEXT)


def test_what_could_not_be_compared_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(load_model(str(save_model(tmp_path, "llama")), "cpu"), fidelity=None)

    def none(*_: Any) -> Any:
        raise NoTwinError("there is none")

    monkeypatch.setattr(agreement, "make_eager_twin", none)
    chosen = with_forward(model, [OUT], "auto", CONTEXT)
    assert "was not compared with the published code: there is none" in chosen.warnings[0]
