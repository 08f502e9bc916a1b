"""Our encoding against SAELens' own, for every architecture and option that it is written for."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.encoders.forms import LinearForm, TopKForm
from consumers.encoders.rules import Rule
from consumers.sources.sae_forms import TOLERANCE, form_of
from tests.models_on_disk import save_dictionary

# With whether the bias of the decoder is taken from the input.
KNOWN = (
    ("standard", True),
    ("standard", False),
    ("jumprelu", True),
    ("jumprelu", False),
    ("gated", True),
    ("gated", False),
    ("transcoder", False),
    ("skip_transcoder", False),
    ("jumprelu_transcoder", False),
    ("jumprelu_skip_transcoder", False),
)


def load(folder: Path) -> Any:
    from sae_lens import SAE

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sae = SAE.load_from_disk(folder).eval()
    sae.requires_grad_(False)
    sae.turn_off_forward_pass_hook_z_reshaping()
    return sae


def tokens(count: int = 200, seed: int = 3) -> torch.Tensor:
    return torch.randn(count, 32, generator=torch.Generator().manual_seed(seed))


def close(got: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Return whether all but one in a thousand agree, relative to the largest value."""
    off = (got.float() - expected.float()).abs() > tolerance * expected.float().abs().max()
    return int(off.sum()) <= off.numel() // 1000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("normalise", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("architecture", "centred"), KNOWN)
def test_values_are_those_of_saelens(
    architecture: str, dtype: str, centred: bool, normalise: str, tmp_path: Path
) -> None:
    folder = save_dictionary(
        tmp_path,
        architecture,
        dtype=dtype,
        apply_b_dec_to_input=centred,
        normalize_activations=normalise,
    )
    sae = load(folder)
    encoder = form_of("d", sae)
    assert isinstance(encoder, LinearForm)
    with torch.inference_mode():
        expected, got = sae.encode(tokens()), encoder.values(tokens())
        narrow = encoder.in_bfloat16().values(tokens())
    assert 0.01 < float((expected > 0).float().mean()) < 0.9
    assert close(got, expected, TOLERANCE[sae.dtype])
    # Rounding moves what stands at a threshold or a gate to its other side.
    assert float((narrow - expected).abs().mean()) < 0.01 * float(expected.max())
    if architecture == "standard" and dtype == "float32":
        assert close(narrow, expected, 0.01)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", ["abstopk", "temporal", "matching_pursuit"])
def test_others_are_left_to_saelens(architecture: str, tmp_path: Path) -> None:
    extra: dict[str, Any] = {}
    if architecture == "temporal":
        extra = {"n_heads": 4, "bottleneck_factor": 1}
    assert form_of("d", load(save_dictionary(tmp_path, architecture, **extra))) is None


@pytest.mark.parametrize("architecture", ["standard", "topk"])
def test_a_class_of_ones_own_is_left_to_itself(architecture: str, tmp_path: Path) -> None:
    sae = load(save_dictionary(tmp_path, architecture))
    assert form_of("d", sae) is not None
    sae.__class__ = type("Own", (type(sae),), {})
    assert form_of("d", sae) is None


def test_top_k_in_bfloat16_is_left_to_saelens(tmp_path: Path) -> None:
    """Values of 8 bits are often equal, and SAELens takes any of equal ones."""
    assert isinstance(form_of("d", load(save_dictionary(tmp_path / "a", "topk"))), TopKForm)
    narrow = save_dictionary(tmp_path / "b", "topk", dtype="bfloat16")
    assert form_of("d", load(narrow)) is None


def test_half_precision_is_left_to_saelens(tmp_path: Path) -> None:
    assert form_of("d", load(save_dictionary(tmp_path, "standard", dtype="float16"))) is None


def spoil_encode(sae: Any) -> None:
    sae.encode = lambda values, whole=sae.encode: whole(values) * 1.01


def spoil_preparation(sae: Any) -> None:
    plain = sae.process_sae_in
    sae.encode = lambda values, whole=sae.encode: whole(values + 0.1)
    sae.process_sae_in = plain


@pytest.mark.parametrize("architecture", ["standard", "topk"])
@pytest.mark.parametrize("spoil", [spoil_encode, spoil_preparation])
def test_a_dictionary_that_differs_is_left_to_saelens(
    spoil: Callable[[Any], None],
    architecture: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sae = load(save_dictionary(tmp_path, architecture))
    spoil(sae)
    with caplog.at_level(logging.WARNING):
        assert form_of("odd", sae) is None
    assert len(caplog.records) == 1
    assert "'odd': our encoding of random tokens is" in caplog.text


def test_bfloat16_keeps_what_a_large_bias_leaves() -> None:
    weight = torch.full((1, 64), 0.5)
    bias = torch.tensor([-31.7])
    one = torch.ones(1)
    encoder = LinearForm(lambda values: values, weight, Rule(one, bias, bias, torch.zeros(1)))
    value = encoder.in_bfloat16().values(torch.ones(1, 64)).item()
    # 32 - 31.7: a product rounded before the bias is added would be off by up to 1/16.
    assert value == pytest.approx(0.3, rel=2**-8)


@pytest.mark.parametrize("bias", [-float("inf"), float("inf")])
def test_an_infinite_bias_means_the_same_in_bfloat16(bias: float) -> None:
    shift = torch.tensor([bias])
    encoder = LinearForm(
        lambda values: values, torch.ones(1, 4), Rule(torch.ones(1), shift, shift, torch.zeros(1))
    )
    wide, narrow = (e.values(torch.ones(1, 4)) for e in (encoder, encoder.in_bfloat16()))
    assert wide.item() == narrow.item() == max(bias, 0)
