"""Logits and interventions of a model: batched by row, and as transformer-lens gives them alone."""

from typing import Any

import pytest
import torch

from consumers.models.agreement import with_forward
from consumers.models.language_model import LanguageModel
from consumers.models.loading import load_model
from consumers.models.model import Intervention, Model, ablation, steering
from streams.errors import ModelError
from tests.models_on_disk import save_model

HOOK, HEADS = "blocks.1.hook_resid_post", "blocks.0.attn.hook_z"
IDS = torch.randint(60, (4, 9), generator=torch.Generator().manual_seed(0))
VECTOR = torch.randn(32, generator=torch.Generator().manual_seed(1)) * 3


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    loaded = load_model(str(save_model(tmp_path_factory.mktemp("m"), request.param)), "cpu")
    return with_forward(loaded, [HOOK], "auto", 16)


def alone(model: Any, row: int, hook: str, change: Any) -> torch.Tensor:
    """Return one row's logits from transformer-lens' run_with_hooks."""

    def function(value: torch.Tensor, hook: Any) -> torch.Tensor:
        return change(value)

    with torch.inference_mode():
        return model.net.run_with_hooks(IDS[row : row + 1], fwd_hooks=[(hook, function)])[0]


@pytest.mark.parametrize("hook", [HOOK, HEADS])
def test_steering_one_row_leaves_the_others_bit_equal(model: Model, hook: str) -> None:
    plain = model.logits(IDS)
    assert plain.shape == (4, 9, 64)
    steered = model.logits(IDS, [steering(hook, {2: VECTOR})])
    others = [0, 1, 3]
    assert steered[others].equal(plain[others])
    assert (steered[2] - plain[2]).abs().max() > 0.1
    expected = alone(model, 2, hook, lambda value: value + VECTOR.view(value.shape[2:]))
    torch.testing.assert_close(steered[2], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("hook", [HOOK, HEADS])
def test_each_row_may_have_its_own_intervention(model: Model, hook: str) -> None:
    unit = VECTOR / VECTOR.norm()

    def without(value: torch.Tensor) -> torch.Tensor:
        flat = value.flatten(2)
        return (flat - (flat @ unit)[..., None] * unit).view(value.shape)

    changes = [steering(hook, {0: VECTOR, 1: -VECTOR}), ablation(hook, {3: VECTOR})]
    found = model.logits(IDS, changes)
    for row, change in ((0, lambda v: v + VECTOR.view(v.shape[2:])), (2, lambda v: v)):
        torch.testing.assert_close(found[row], alone(model, row, hook, change), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[3], alone(model, 3, hook, without), atol=1e-4, rtol=0)


def test_interventions_leave_nothing_behind(model: Model) -> None:
    before, values = model.logits(IDS), model.run(IDS, [HOOK])[HOOK].clone()
    model.logits(IDS, [steering(HOOK, {0: VECTOR})])
    assert model.logits(IDS).equal(before)
    assert model.run(IDS, [HOOK])[HOOK].equal(values)


def test_what_cannot_take_the_place_of_values_is_refused(model: Model) -> None:
    with pytest.raises(ModelError, match=r"no hook 'blocks\.1\.resid_post'"):
        model.logits(IDS, [steering("blocks.1.resid_post", {0: VECTOR})])
    with pytest.raises(ModelError, match=r"turns torch.float32 \[4, 9, 32\] into torch.float64"):
        model.logits(IDS, [Intervention(HOOK, torch.Tensor.double)])


def test_logits_that_are_off_the_published_code_are_refused(model: LanguageModel) -> None:
    from dataclasses import replace

    from consumers.models.language_model import Fidelity

    off = replace(model, fidelity=Fidelity((0.0, 0.1), (0.0, 0.0)))
    with pytest.raises(ModelError, match=r"is 1\.0e-01 off its published code"):
        off.logits(IDS)
