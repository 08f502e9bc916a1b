"""Layers of decomposed models: the published formulas, and what does not fit them is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consumers.encoders.cpu.importance import CpuImportance
from consumers.encoders.gpu.importance import GpuImportance
from consumers.encoders.importance_form import ImportanceForm
from consumers.encoders.timings import Timings
from consumers.runs.decomposed_spec import DecomposedSpec
from consumers.runs.specs import RunSpec
from consumers.sources.decomposed import load_decomposed
from consumers.sources.directions import load_directions
from streams.errors import ModelError, NotFiniteError
from streams.records.corpus import CorpusRecord
from tests.consumers.activations.test_torch_engine import HOOK, batch_of, dense, run_of
from tests.consumers.sources.decompositions import (
    MODULE,
    plain_values,
    random_layer,
    save_decomposition,
)

CPU = torch.device("cpu")
GATES = ("mlp", "vector_mlp", "shared_mlp", "linear")
VALUES = ("lower_leaky", "upper_leaky", "sigmoid", "pre_sigmoid", "component_activation")
X = np.random.default_rng(1).normal(size=(70, 32)).astype(np.float32)


def load(path: Path, values: str = "lower_leaky", module: str = MODULE) -> Any:
    return load_decomposed("d", f"{path}#{module}#{values}", "hook", CPU)


def saved(folder: Path, gates: str = "mlp", **changes: Any) -> Path:
    """Write a random layer. changes: tensors to replace, by the end of their names."""
    state = random_layer(gates)
    for end, tensor in changes.items():
        (name,) = [name for name in state if name.endswith("." + end.replace("_", "."))]
        state[name] = tensor
    return save_decomposition(folder / "d.safetensors", state)


def collected(encoder: CpuImportance | GpuImportance, x: torch.Tensor) -> np.ndarray:
    found = encoder.collect(x, Timings())
    out = np.zeros((len(x), len(found.count)), np.float32)
    component = np.repeat(np.arange(len(found.count)), found.count)
    out[found.token, component] = found.value
    assert (found.value != 0).all()
    assert (np.lexsort((found.token, component)) == np.arange(len(component))).all()
    return out


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("gates", GATES)
def test_values_are_those_of_the_published_formulas(
    gates: str, values: str, tmp_path: Path
) -> None:
    source = load(saved(tmp_path, gates), values)
    expected = plain_values(random_layer(gates), X, values)
    x = torch.from_numpy(X)
    np.testing.assert_allclose(source.encode(x).numpy(), expected, atol=1e-5)
    assert (source.width, source.components) == (32, 11)
    assert source.sign == ("absolute" if values == "component_activation" else "value")
    if isinstance(source.form, ImportanceForm):
        kept = np.arange(11) != 4
        found = collected(CpuImportance("d", source.form, kept), x)
        np.testing.assert_allclose(found, expected * kept, atol=1e-5)
    if values in ("lower_leaky", "upper_leaky"):
        assert (expected == 0).any()
        assert (expected >= 1).any()


@pytest.mark.parametrize("gates", GATES)
def test_components_may_be_computed_one_at_a_time(
    gates: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, x = load(saved(tmp_path, gates)).form, torch.from_numpy(X)
    whole = form.values(x).numpy()
    kept = np.ones(11, bool)
    encoders = CpuImportance("d", form, kept), GpuImportance("d", form, kept, CPU)
    for encoder in encoders:
        assert collected(encoder, x).tobytes() == whole.tobytes()
    monkeypatch.setattr("consumers.encoders.importance_form.NUMBERS", 1)
    monkeypatch.setattr("consumers.encoders.gpu.importance.NUMBERS", 1)
    assert form.size(len(x)) == 1
    for encoder in encoders:
        np.testing.assert_allclose(collected(encoder, x), whole, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_run_computes_them_on_either_device(
    tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    sources = [
        DecomposedSpec(f"d{number}", str(saved(tmp_path)), MODULE, HOOK, values, dropped=(2,))  # type: ignore[arg-type]
        for number, values in enumerate(VALUES)
    ]
    engine = run_of(spec, corpus, *sources)
    batch, valid = batch_of(6)
    x = engine.model.run(torch.from_numpy(batch.ids.astype(np.int64)), [HOOK])[HOOK].numpy()
    state = random_layer("mlp")
    expected = np.concatenate([plain_values(state, x.reshape(-1, 32), v) for v in VALUES], axis=1)
    expected = expected.reshape(*x.shape[:2], -1) * valid[..., None]
    expected[..., 2::11] = 0
    got = dense(engine.compute(batch, valid), engine.plan.components, 6)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    on_device = type(engine)(engine.plan, engine.model, engine.sources, on_device=True)
    assert isinstance(on_device._encoders[0], GpuImportance)
    for found in (
        on_device.compute(batch, valid), on_device.compute_on_device(batch, valid).to_host()
    ):  # fmt: skip
        got = dense(found, engine.plan.components, 6)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_gates_that_are_not_finite_refuse_the_batch(tmp_path: Path) -> None:
    x = torch.from_numpy(X).clone()
    x[3] = 3e38
    form = load(saved(tmp_path, "shared_mlp")).form
    kept = np.ones(11, bool)
    for encoder in (CpuImportance("d", form, kept), GpuImportance("d", form, kept, CPU)):
        with pytest.raises(NotFiniteError, match="source d"):
            encoder.collect(x, Timings())
    assert form.values(x)[3].isnan().any()


def test_names_of_other_versions_are_known(tmp_path: Path) -> None:
    state = {
        name.replace("_ci_fns.", "_gates."): tensor for name, tensor in random_layer("mlp").items()
    }
    for factor in "VU":
        state[f"patched_model.{MODULE}.components.{factor}"] = state.pop(
            f"_components.h-0-mlp-c_fc.{factor}"
        )
    older = save_decomposition(tmp_path / "older.safetensors", state)
    newer = load(saved(tmp_path))
    assert load(older).content == newer.content
    state = {
        name.replace("_ci_fns.", "ci_fn._ci_fns."): tensor
        for name, tensor in random_layer("mlp").items()
    }
    newest = save_decomposition(tmp_path / "newest.safetensors", state)
    assert load(newest).content == newer.content
    assert load(older, "pre_sigmoid").encode(torch.from_numpy(X)).abs().sum() > 1
    changed = saved(tmp_path, V=random_layer("mlp", seed=3)["_components.h-0-mlp-c_fc.V"])
    assert load(changed).content != newer.content


def test_directions_are_v_and_u(tmp_path: Path) -> None:
    path, state = saved(tmp_path), random_layer("mlp")
    found = load_directions("d", "decomposed", f"{path}#{MODULE}#lower_leaky", "hook")
    assert found.encoder.tobytes() == state["_components.h-0-mlp-c_fc.V"].T.tobytes()
    assert found.decoder.tobytes() == state["_components.h-0-mlp-c_fc.U"].tobytes()
    assert found.content == load(path).content


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(ModelError, match="no values 'leaky'; known are lower_leaky"):
        load(path, "leaky")
    with pytest.raises(ModelError, match=r"no decomposed module 'h.0.mlp.c_f'; close to it: h.0.m"):
        load(path, module="h.0.mlp.c_f")
    with pytest.raises(ModelError, match="'d': cannot read /no/file"):
        load(Path("/no/file"))
    with pytest.raises(ModelError, match=r"no gates that are known .* 'component_activation'"):
        load(saved(tmp_path, "none"))
    assert load(saved(tmp_path, "none"), "component_activation").components == 11
    with pytest.raises(ModelError, match=r"gates of the shapes \[11, 2, 5\], \[11, 5, 3\]"):
        load(saved(tmp_path, layers_0_W=np.ones((11, 2, 5), np.float32)))
    with pytest.raises(ModelError, match="it has to hold finite numbers"):
        load(saved(tmp_path, layers_2_b=np.full((11, 3), np.nan, np.float32)))
    with pytest.raises(ModelError, match=r"V is \[width of the hook, components\]"):
        load(saved(tmp_path, V=np.ones(32, np.float32)))
    (tmp_path / "rubbish").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="'d': cannot read"):
        load(tmp_path / "rubbish")
