"""The faster forward against transformer-lens' own, and what happens where they differ."""

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.models import agreement, packing
from consumers.models.agreement import farthest, forward_on, with_forward
from consumers.models.forwards import Twin
from consumers.models.language_model import LanguageModel
from consumers.models.loading import load_model
from consumers.models.published import difference
from consumers.models.tolerances import TOLERANCE
from consumers.models.twins import NoTwinError, make_packed_twin, make_twin
from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.runs.specs import NeuronsSpec, RunSpec
from streams.errors import ModelError
from streams.records.corpus import CorpusRecord
from streams.records.runs import Forward
from tests.consumers.created import create_run
from tests.models_on_disk import CONTEXT, SHAPES, save_model

POST = "blocks.1.hook_resid_post"
HOOKS = {
    "embed.hook_out",
    "blocks.0.hook_resid_pre",
    "blocks.0.hook_attn_out",
    "blocks.0.hook_mlp_out",
    "blocks.1.ln1.hook_normalized",
    "blocks.1.ln1.hook_out",
    "blocks.1.ln2.hook_normalized",
    "blocks.1.attn.hook_z",
    "blocks.1.mlp.hook_pre",
    "blocks.1.mlp.hook_post",
    POST,
    "blocks.2.hook_resid_post",
    "ln_final.hook_out",
}
OWN = {  # neox adds attention and MLP at once; llama's projections are modules of their own
    "gpt2": {"blocks.1.hook_resid_mid"},
    "llama": {"blocks.1.hook_resid_mid", "blocks.1.attn.hook_q", "blocks.1.attn.hook_k"},
    "neox": set[str](),
}
CASES = [(shape, hook) for shape in SHAPES for hook in sorted(HOOKS | OWN[shape])]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that loads a tiny model of a shape and a dtype, once for all tests."""
    folder = tmp_path_factory.mktemp("shapes")

    @cache
    def load(shape: str, dtype: str = "float32", *processing: str) -> LanguageModel:
        place = folder / shape
        return load_model(
            str(place if place.exists() else save_model(place, shape)), "cpu", dtype, processing
        )

    return load


def ids_of(rows: int = 3, length: int = CONTEXT, seed: int = 0) -> torch.Tensor:
    return torch.randint(64, (rows, length), generator=torch.Generator().manual_seed(seed))


def twin_of(model: LanguageModel, *hooks: str, make: Any = make_twin) -> LanguageModel:
    return replace(model, twin=make(model.net, hooks))


@pytest.mark.parametrize("make", [make_twin, make_packed_twin])
@pytest.mark.parametrize(("shape", "hook"), CASES)
def test_a_hook_has_the_values_of_transformer_lens(
    shape: str, hook: str, make: Any, loaded: Any
) -> None:
    model = loaded(shape)
    ids = ids_of()
    expected = model.run(ids, [hook])[hook]
    found = twin_of(model, hook, make=make).run(ids, [hook])[hook]
    assert difference(expected, found) < 1e-6
    assert found.dtype == expected.dtype


NARROW = [("bfloat16", "transformers"), ("float16", "transformers")]
if torch.ops.mkldnn._is_mkldnn_bf16_supported():
    NARROW.append(("bfloat16", "transformers-onednn"))


@pytest.mark.parametrize(("dtype", "forward"), NARROW)
@pytest.mark.parametrize("shape", SHAPES)
def test_narrow_types_agree_within_their_tolerance(
    shape: str, dtype: str, forward: Forward, loaded: Any
) -> None:
    model = loaded(shape, dtype)
    hooks = sorted(HOOKS)
    chosen = with_forward(model, hooks, forward, CONTEXT)
    ids = ids_of()
    expected, found = model.run(ids, hooks), chosen.run(ids, hooks)
    gaps = [difference(expected[hook], found[hook]) for hook in hooks]
    assert 0 < max(gaps) < TOLERANCE[model.dtype]
    assert found[POST].dtype == model.dtype


@pytest.mark.parametrize("shape", SHAPES)
def test_processed_weights_are_shared_too(shape: str, loaded: Any) -> None:
    steps = ("center_writing_weights", "fold_ln")
    model = loaded(shape, "float32", *steps)
    chosen = with_forward(model, [POST], "auto", CONTEXT)
    assert chosen.forward == "transformers-onednn"
    plain = loaded(shape).run(ids_of(), [POST])[POST]
    assert difference(plain, chosen.run(ids_of(), [POST])[POST]) > 1e-3 or shape == "llama"


def test_processed_weights_in_a_narrow_type_are_left_to_transformer_lens(loaded: Any) -> None:
    model = loaded("gpt2", "bfloat16", "center_writing_weights")
    assert with_forward(model, [POST], "auto", CONTEXT).forward == "transformer-lens"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_twin_has_no_weights_of_its_own(shape: str, loaded: Any) -> None:
    model = loaded(shape)
    net = twin_of(model, POST).twin.net
    theirs = {tensor.data_ptr() for tensor in model.net.original_model.parameters()}
    assert {tensor.data_ptr() for tensor in net.parameters()} <= theirs
    assert not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers()))


def calls_of(net: torch.nn.Module) -> list[str]:
    """Return a list that the names of modules are added to when they are called."""
    calls: list[str] = []
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    return calls


def test_one_forward_ends_at_the_last_hook(loaded: Any) -> None:
    model = twin_of(loaded("gpt2"), POST, "blocks.0.attn.hook_z", "blocks.1.hook_resid_pre")
    calls = calls_of(model.twin.net)
    found = model.run(ids_of(), ["blocks.0.attn.hook_z", POST])
    assert set(found) == {"blocks.0.attn.hook_z", POST}
    assert [name for name in calls if name in {f"transformer.h.{n}" for n in range(3)}] == [
        "transformer.h.0",
        "transformer.h.1",
    ]
    assert "lm_head" not in calls
    calls.clear()
    model.run(ids_of(), ["blocks.1.hook_resid_pre"])
    assert "transformer.h.1.ln_1" not in calls
    assert calls.count("transformer.h.0") == 1


def test_no_hook_is_left_behind(loaded: Any) -> None:
    model = twin_of(loaded("llama"), POST, "blocks.1.ln1.hook_normalized")
    modules = [*model.twin.net.modules(), *model.net.modules()]

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)

    for _ in range(2):  # transformers leaves hooks of its own at the first forward
        before = hooks()
        model.run(ids_of(), [POST, "blocks.1.ln1.hook_normalized"])
    assert hooks() == before


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_on_the_right_changes_nothing_before_it(shape: str, loaded: Any) -> None:
    model = twin_of(loaded(shape), POST)
    ids = ids_of()
    other = torch.cat([ids[:, :9], ids_of(3, CONTEXT - 9, seed=1)], dim=1)
    one, two = (model.run(rows, [POST])[POST] for rows in (ids, other))
    torch.testing.assert_close(one[:, :9], two[:, :9])
    assert not torch.allclose(one[:, 9:], two[:, 9:])


@pytest.mark.parametrize("hook", ["blocks.0.attn.hook_pattern", "blocks.1.hook_mlp_in"])
def test_a_hook_without_a_module_is_left_to_transformer_lens(
    hook: str, loaded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = loaded("gpt2")
    chosen = with_forward(model, [POST, hook], "auto", CONTEXT)
    assert (chosen.forward, chosen.warnings) == ("transformer-lens", ())
    assert f"takes or gives {hook}" in chosen.reason
    assert f"which is slower: no module of transformers' model takes or gives {hook}" in caplog.text
    with pytest.raises(ModelError, match=f"cannot be computed by transformers here.*{hook}"):
        with_forward(model, [POST, hook], "transformers", CONTEXT)


def test_a_twin_reads_other_shapes_than_those_of_its_trial(loaded: Any, tmp_path: Path) -> None:
    """OPT's layers work on [row * position, width]; the bridge unflattens by its own last text."""
    apart = load_model(str(save_model(tmp_path, "opt")), "cpu")
    for hook in ("hook_mlp_out", "hook_resid_mid", "mlp.hook_pre", "mlp.hook_post", "ln2.hook_out"):
        name = f"blocks.1.{hook}"
        chosen = with_forward(loaded("opt"), [name], "auto", CONTEXT)
        assert chosen.forward == "transformers-onednn"
        for shape in ((4, 7), (1, CONTEXT), (1, 1), (5, 3)):
            ids = ids_of(*shape)
            expected, found = apart.run(ids, [name])[name], chosen.run(ids, [name])[name]
            assert difference(expected, found) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_capped_attention_scores_stay_capped(dtype: str, loaded: Any) -> None:
    model, exact = loaded("gemma2", dtype), loaded("gemma2")
    chosen = with_forward(model, [POST], "auto", CONTEXT)
    assert chosen.forward != "transformer-lens"
    expected = exact.run(ids_of(), [POST])[POST]
    ours, theirs = (one.run(ids_of(), [POST])[POST].float() for one in (chosen, model))
    assert difference(expected, ours) < 1.5 * difference(expected, theirs) + 1e-5


def test_without_room_for_copies_the_twin_uses_the_weights_as_they_are(
    loaded: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(packing, "_SHARE", 0.0)
    assert with_forward(loaded("gpt2"), [POST], "auto", CONTEXT).forward == "transformers"
    text = "transformers-onednn does not compute the forward pass: weights cannot be packed"
    assert text in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_agreement_is_said_with_its_size(loaded: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    chosen = with_forward(loaded("gpt2"), [POST], "auto", CONTEXT)
    assert chosen.forward == "transformers-onednn"
    assert f"e-07 at {POST}" in caplog.text or f"e-08 at {POST}" in caplog.text


def test_transformer_lens_can_be_asked_for(loaded: Any) -> None:
    model = loaded("gpt2")
    chosen = with_forward(model, [POST], "transformer-lens", CONTEXT)
    assert (chosen.forward, chosen.reason) == ("transformer-lens", "")


def wrong_place(twin: Twin) -> Twin:
    """The output of the layer before."""
    tap = replace(twin.taps[POST], module=twin.net.transformer.h[0])  # type: ignore[arg-type,index]
    return replace(twin, taps={POST: tap})


def wrong_activation(twin: Twin) -> Twin:
    """The exact GELU in place of its approximation: up to 5e-4 apart."""
    twin.net.transformer.h[1].mlp.act = torch.nn.GELU()  # type: ignore[index]
    return twin


def wrong_epsilon(twin: Twin) -> Twin:
    twin.net.transformer.h[1].ln_1.eps = 1e-4  # type: ignore[index]
    return twin


def wrong_scale(twin: Twin) -> Twin:
    twin.net.transformer.h[1].attn.scaling *= 1.01  # type: ignore[index]
    return twin


def wrong_shape(twin: Twin) -> Twin:
    return replace(twin, taps={POST: replace(twin.taps[POST], view=lambda value: value[:1])})


def not_finite(twin: Twin) -> Twin:
    return replace(twin, taps={POST: replace(twin.taps[POST], view=lambda value: value / 0)})


def failing(twin: Twin) -> Twin:
    twin.net.transformer.h[0].mlp = torch.nn.Linear(1, 1)  # type: ignore[index]
    return twin


WRONG = [
    wrong_place,
    wrong_activation,
    wrong_epsilon,
    wrong_scale,
    wrong_shape,
    not_finite,
    failing,
]


@pytest.mark.parametrize("make", [make_twin, make_packed_twin])
@pytest.mark.parametrize("broken", WRONG)
def test_a_twin_that_computes_otherwise_is_found_out(
    broken: Any, make: Any, tmp_path: Path
) -> None:
    # Weights about as large as trained ones: with small ones every activation is nearly a line.
    model = load_model(str(save_model(tmp_path, "gpt2", initializer_range=0.3)), "cpu")
    assert farthest(model, twin_of(model, POST), [POST], CONTEXT)
    twin = broken(make(model.net, [POST]))
    with pytest.raises(NoTwinError, match=f"at {POST} it differs|it cannot run"):
        farthest(model, replace(model, twin=twin), [POST], CONTEXT)


def test_a_model_that_is_no_bridge_has_no_twin() -> None:
    with pytest.raises(NoTwinError, match="loaded it without transformers"):
        make_twin(torch.nn.Linear(1, 1), [POST])


def test_the_difference_is_relative_to_the_length_of_a_vector_or_the_median() -> None:
    expected = torch.tensor([[[3.0, 4.0], [0.0, 10.0], [0.0, 0.1]]])
    near = expected + torch.tensor([[[0.0, 0.05], [0.0, 0.3], [0.0, 0.1]]])
    assert difference(expected, expected) == 0
    assert difference(expected, near) == pytest.approx(0.03)
    assert difference(expected, expected[:, :2]) == float("inf")
    assert difference(expected, expected.bfloat16()) == float("inf")
    assert not difference(expected, near * float("nan")) <= 1
    counts = torch.arange(6).reshape(2, 3)
    assert difference(counts, counts) == 0
    assert difference(counts, counts + 1) == float("inf")


def differing(*_: Any) -> str:
    raise NoTwinError("it differs")


def test_the_choice_is_part_of_the_run_and_workers_keep_to_it(
    spec: RunSpec, corpus: CorpusRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(spec, corpus)
    assert run.model.forward == "transformers-onednn"
    assert load_engine(make_plan(run), "cpu").model.forward == "transformers-onednn"  # type: ignore[attr-defined]
    slow = create_run(replace(spec, model=replace(spec.model, forward="transformer-lens")), corpus)
    assert load_engine(make_plan(slow), "cpu").model.forward == "transformer-lens"  # type: ignore[attr-defined]
    monkeypatch.setattr(agreement, "farthest", differing)
    assert create_run(spec, corpus).model.forward == "transformers-eager"
    with pytest.raises(ModelError, match="cannot be computed by transformers-onednn here"):
        load_engine(make_plan(run), "cpu")


@pytest.mark.parametrize(
    "wanted", ["auto", "transformers", "transformers-onednn", "transformer-lens"]
)
def test_a_run_made_on_a_processor_is_computed_on_other_devices(wanted: Any) -> None:
    elsewhere = "transformers" if wanted == "transformers-onednn" else wanted
    assert forward_on(torch.device("cpu"), wanted) == wanted
    assert forward_on(torch.device("cuda", 1), wanted) == elsewhere


def test_a_run_with_a_hook_that_has_no_module_is_created(
    spec: RunSpec, corpus: CorpusRecord
) -> None:
    other = NeuronsSpec("pre", hook="blocks.1.hook_mlp_in")
    run = create_run(replace(spec, sources=(*spec.sources, other)), corpus)
    assert run.model.forward == "transformer-lens"
    assert load_engine(make_plan(run), "cpu").model.forward == "transformer-lens"  # type: ignore[attr-defined]


def test_folder_of_a_model_is_named(tmp_path: Path) -> None:
    model = load_model(str(save_model(tmp_path, "gpt2")), "cpu")
    with pytest.raises(ModelError, match=str(tmp_path)):
        with_forward(model, ["blocks.0.attn.hook_pattern"], "transformers", CONTEXT)
