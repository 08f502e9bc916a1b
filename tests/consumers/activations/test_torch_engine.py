"""The engine against an independent computation with transformer-lens and SAELens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consumers.activations.engine import Activations
from consumers.activations.torch_engine import TorchEngine
from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.runs.specs import DictionarySpec, NeuronsSpec, RunSpec, SourceSpec, WeightsSpec
from streams.arrays import AnyArray, Bool
from streams.errors import NotFiniteError
from streams.records.corpus import CorpusRecord, TokenBatch
from tests.consumers.created import create_run
from tests.models_on_disk import ARCHITECTURES, CONTEXT, SHAPES, WORDS, save_dictionary, save_model

HOOK = "blocks.1.hook_resid_post"


def batch_of(rows: int, seed: int = 0) -> tuple[TokenBatch, Bool]:
    """Return random rows, short ones padded with the end mark, and what is valid of them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, CONTEXT + 1, rows)
    mask = np.arange(CONTEXT) < lengths[:, None]
    ids = np.where(mask, random.integers(0, WORDS, (rows, CONTEXT)), WORDS).astype(np.uint32)
    names = ("",) * rows
    batch = TokenBatch("words", 0, 0, ids, mask, np.zeros((rows, 16), np.uint8), names, names)
    valid = mask.copy()
    valid[:, 0] = False
    return batch, valid


def dense(found: Activations, components: int, rows: int) -> AnyArray:
    """Return activations [row, position, component]."""
    out = np.zeros((rows, CONTEXT, components), np.float32)
    out[found.row, found.position, found.component] = found.value
    return out


def by_hand(folder: Path, ids: AnyArray, hook: str) -> torch.Tensor:
    """Return a hook's values with run_with_cache, all rows at once and no early stop."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folder), device="cpu")
    with torch.inference_mode():
        _, cache = bridge.run_with_cache(torch.from_numpy(ids.astype(np.int64)))
    values: torch.Tensor = cache[hook]
    return values


def encoded_by_hand(folder: Path, values: torch.Tensor) -> AnyArray:
    from sae_lens import SAE

    with torch.inference_mode():
        result: AnyArray = SAE.load_from_disk(folder).encode(values).numpy()
    return result


def run_of(spec: RunSpec, corpus: CorpusRecord, *sources: SourceSpec, **model: Any) -> Any:
    changed = replace(spec, sources=sources, model=replace(spec.model, **model))
    return load_engine(make_plan(create_run(changed, corpus)), "cpu")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "abstopk", "temporal", "transcoder"])
def test_dictionaries_agree_with_saelens(
    architecture: str, disk: Path, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    extra: dict[str, Any] = (
        {"n_heads": 4, "bottleneck_factor": 1} if architecture == "temporal" else {}
    )
    folder = save_dictionary(tmp_path, architecture, **extra)
    batch, valid = batch_of(10)
    engine = run_of(spec, corpus, DictionarySpec("d", path=str(folder)))
    found = engine.compute(batch, valid)
    expected = encoded_by_hand(folder, by_hand(disk / "gpt2", batch.ids, HOOK))
    np.testing.assert_allclose(dense(found, 48, 10), expected * valid[..., None], atol=1e-5)
    assert len(found.value) > 100


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", SHAPES)
def test_all_sources_of_a_model_agree_with_its_cache(
    shape: str, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    from safetensors.torch import save_file

    folder = save_model(tmp_path / shape, shape)
    sae = save_dictionary(tmp_path / "z", "standard", hook="blocks.0.attn.hook_z")
    matrix = torch.randn(32, 7, generator=torch.Generator().manual_seed(1))
    save_file({"V": matrix}, tmp_path / "v.safetensors")
    engine = run_of(
        spec,
        corpus,
        DictionarySpec("heads", path=str(sae), dropped=(3, 5)),
        NeuronsSpec("neurons", hook="blocks.1.mlp.hook_post"),
        WeightsSpec("weights", path=str(tmp_path / "v.safetensors"), tensor="V", hook=HOOK),
        path=str(folder),
    )
    batch, valid = batch_of(6)
    found = engine.compute(batch, valid)
    heads = encoded_by_hand(sae, by_hand(folder, batch.ids, "blocks.0.attn.hook_z").flatten(2))
    heads[..., [3, 5]] = 0
    middle = by_hand(folder, batch.ids, "blocks.1.mlp.hook_post").numpy()
    weights = (by_hand(folder, batch.ids, HOOK) @ matrix).numpy()
    expected = np.concatenate([heads, middle, weights], axis=-1) * valid[..., None]
    got = dense(found, engine.plan.components, 6)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    order = np.lexsort((found.position, found.row, found.component))
    assert (order == np.arange(len(order))).all()


def test_the_same_batch_gives_the_same_bits(spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    batch, valid = batch_of(10)
    first = engine.compute(batch, valid)
    engine.compute(*batch_of(7, seed=3))
    again = engine.compute(batch, valid)
    fresh = run_of(spec, corpus, *spec.sources).compute(batch, valid)
    for other in (again, fresh):
        assert first.value.tobytes() == other.value.tobytes()
        assert (first.component == other.component).all()


def test_nothing_is_computed_after_the_last_hook(spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    reached = []
    for layer in engine.model.twin.net.transformer.h[1:]:
        layer.register_forward_pre_hook(lambda module, _: reached.append(module))
    engine.compute(*batch_of(4))
    assert reached == [engine.model.twin.net.transformer.h[1]]


def test_rows_without_a_valid_token_are_absent(spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    batch, valid = batch_of(6)
    valid[:5] = False
    found = engine.compute(batch, valid)
    assert set(found.row.tolist()) <= {5}
    assert len(engine.compute(batch, np.zeros_like(valid)).value) == 0


def test_out_of_memory_halves_the_micro_batch(spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    batch, valid = batch_of(10)
    whole = engine.compute(batch, valid)
    rows = limit_rows(engine, 2)
    split = engine.compute(batch, valid)
    assert rows[:3] == [4, 2, 2]
    assert engine.timings.splits == 1
    assert (split.component == whole.component).all()
    np.testing.assert_allclose(split.value, whole.value, atol=1e-5)
    limit_rows(engine, 0)
    with pytest.raises(torch.OutOfMemoryError):
        engine.compute(batch, valid)


def test_other_errors_of_the_device_are_not_retried(spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    rows = limit_rows(engine, 0, RuntimeError("device is lost"))
    with pytest.raises(RuntimeError, match="device is lost"):
        engine.compute(*batch_of(8))
    assert rows == [4]


def limit_rows(engine: Any, most: int, error: Exception | None = None) -> list[int]:
    """Let the engine's model run out of memory above some rows; return the rows it was given."""
    model, asked = engine.model, list[int]()

    class Small:
        device = model.device

        def run(self, ids: torch.Tensor, hooks: list[str]) -> dict[str, torch.Tensor]:
            asked.append(len(ids))
            if len(ids) > most:
                raise error or torch.OutOfMemoryError("out of memory")
            result: dict[str, torch.Tensor] = model.run(ids, hooks)
            return result

    engine.model = Small()
    return asked


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named(bad: float, spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    batch, valid = batch_of(4)
    table = engine.model.net.original_model.transformer.wte
    weight = table.weight if hasattr(table, "weight") else table.original_component.weight
    with torch.no_grad():
        weight[63] = bad
    engine.compute(batch, valid)
    batch.ids[0, 2] = 63
    valid[0, 2] = True
    with pytest.raises(NotFiniteError, match=HOOK):
        engine.compute(batch, valid)
    valid[0] = False
    engine.compute(batch, valid)


@pytest.mark.parametrize(
    ("dtype", "value", "advice"),
    [
        ("float16", 1e6, True),
        ("float16", -1e6, True),
        ("bfloat16", float("nan"), False),
        ("float32", float("inf"), False),
    ],
)
def test_what_float16_cannot_hold_is_named_as_such(
    dtype: str, value: float, advice: bool, spec: RunSpec, corpus: CorpusRecord
) -> None:
    """As at the first token of many models, whose other tokens attend to it."""
    model = replace(spec.model, dtype=dtype, forward="transformer-lens")  # type: ignore[arg-type]
    engine = run_of(replace(spec, model=model), corpus, *spec.sources)
    batch, valid = batch_of(4)
    table = engine.model.net.original_model.transformer.wte
    weight = table.weight if hasattr(table, "weight") else table.original_component.weight
    with torch.no_grad():
        weight[63] = value
    batch.ids[0, 0] = 63
    valid[0, 0], valid[0, 1:] = False, True
    with pytest.raises(NotFiniteError, match=f"NaN or infinity computed in {HOOK}") as error:
        engine.compute(batch, valid)
    said = f"float16 cannot hold this model's values at {HOOK}: take bfloat16 or float32"
    assert str(error.value).endswith(said) == advice


def test_a_dictionary_that_overflows_is_named(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_dictionary(tmp_path, "standard")
    weights = load_file(folder / "sae_weights.safetensors")
    weights["W_enc"][:, 3] = 1e38
    save_file(weights, folder / "sae_weights.safetensors")
    weights["b_enc"][3] = 3e38
    save_file(weights, folder / "sae_weights.safetensors")
    engine = run_of(spec, corpus, DictionarySpec("huge", path=str(folder)))
    with pytest.raises(NotFiniteError, match="source huge"):
        engine.compute(*batch_of(4))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_models_are_close(
    dtype: str, disk: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    batch, valid = batch_of(4)
    narrow = run_of(spec, corpus, *spec.sources, dtype=dtype).compute(batch, valid)
    wide = run_of(spec, corpus, *spec.sources).compute(batch, valid)
    got, expected = dense(narrow, 48, 4), dense(wide, 48, 4)
    assert np.abs(got - expected).max() < 0.1


def test_timings_count_tokens_and_batches(spec: RunSpec, corpus: CorpusRecord) -> None:
    engine = run_of(spec, corpus, *spec.sources)
    batch, valid = batch_of(5)
    engine.compute(batch, valid)
    engine.compute(batch, valid)
    timings = engine.timings
    assert (timings.batches, timings.tokens) == (2, 2 * int(valid.sum()))
    assert min(timings.forward, timings.encode, timings.select) > 0


def test_each_row_is_sent_through_the_model_once(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    heads = save_dictionary(tmp_path, "jumprelu", hook="blocks.0.attn.hook_z", seed=4)
    other = DictionarySpec("other", path=str(heads))
    engine = run_of(spec, corpus, *spec.sources, other, NeuronsSpec("neurons", hook=HOOK))
    batch, valid = batch_of(10)
    valid[:2, 1] = True
    engine.compute(batch, valid)
    timings = engine.timings
    assert (timings.forward_rows, timings.host_bytes) == (10, 0)
    valid[:4] = False
    engine.compute(batch, valid)
    assert timings.forward_rows == 16


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_form_for_devices_gives_the_same(
    dtype: str, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    gated = save_dictionary(tmp_path / "gated", "gated", seed=2)
    top_k = save_dictionary(tmp_path / "topk", "topk", seed=3)
    sources = (
        DictionarySpec("gated", path=str(gated), dropped=(3, 5)),
        DictionarySpec("topk", path=str(top_k), dropped=(2, 9)),
        *spec.sources,
        NeuronsSpec("neurons", hook="blocks.1.mlp.hook_post"),
    )
    engine = run_of(spec, corpus, *sources, dtype=dtype)
    batch, valid = batch_of(10)
    other = TorchEngine(engine.plan, engine.model, engine.sources, on_device=True)
    one, two = engine.compute(batch, valid), other.compute(batch, valid)
    assert len(one.value) > 100
    moved = 8 * len(one.value) + 4 * engine.plan.components
    assert other.timings.host_bytes == moved
    left = other.compute_on_device(batch, valid).to_host()
    assert other.timings.host_bytes == moved
    for name in ("component", "row", "position", "value"):
        bits = getattr(one, name).tobytes()
        assert getattr(two, name).tobytes() == bits == getattr(left, name).tobytes()
    assert len(other.compute_on_device(batch, np.zeros_like(valid)).token) == 0
    with pytest.raises(TypeError, match="leaves nothing on the device"):
        engine.compute_on_device(batch, valid)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", ["standard", "topk", "temporal"])
def test_encoding_goes_on_in_halves_when_memory_runs_out(
    architecture: str, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    extra: dict[str, Any] = {}
    if architecture == "temporal":
        extra = {"n_heads": 4, "bottleneck_factor": 1}
    folder = save_dictionary(tmp_path, architecture, **extra)
    engine = run_of(spec, corpus, DictionarySpec("d", path=str(folder)))
    batch, valid = batch_of(10)
    whole = engine.compute(batch, valid)
    source = engine.sources[0]
    asked = list[int]()

    def limited(values: torch.Tensor) -> torch.Tensor:
        asked.append(len(values))
        if len(values) > 2:
            raise torch.OutOfMemoryError("out of memory")
        result: torch.Tensor = source.encode(values)
        return result

    tight = replace(source, encode=limited, form=None)
    split = TorchEngine(engine.plan, engine.model, [tight]).compute(batch, valid)
    assert max(asked) > 2
    assert split.component.tolist() == whole.component.tolist()
    np.testing.assert_allclose(split.value, whole.value, atol=1e-5)
