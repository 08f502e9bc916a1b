"""TopK dictionaries chunk after chunk, against SAELens' own encode and against dense arrays."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from consumers.encoders import buffer
from consumers.encoders.buffer import Buffer
from consumers.encoders.cpu.topk import CpuTopK
from consumers.encoders.forms import LinearForm, TopKForm
from consumers.encoders.timings import Timings
from consumers.sources.sae_forms import form_of
from streams.errors import NotFiniteError
from tests.consumers.encoders.cpu.test_linear import Small, assert_same_values, dense, random
from tests.consumers.sources.test_sae_forms import load
from tests.models_on_disk import save_dictionary


def strongest(components: int, k: int, width: int = 16) -> TopKForm:
    linear = LinearForm(lambda values: values.float(), random(width, components, seed=1).T)
    shift, scale = random(components, seed=2) / 2, random(components, seed=3).exp()
    return TopKForm(linear, shift, scale, k)


def everything(components: int) -> Any:
    return np.ones(components, np.bool_)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("normalise", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("k", [1, 5, 40, 48])
def test_non_zeros_are_those_of_saelens(
    k: int, rescale: bool, centred: bool, normalise: str, tmp_path: Path
) -> None:
    """With k = 40 a token has fewer positive values than k; 48 are all components."""
    folder = save_dictionary(
        tmp_path,
        "topk",
        k=k,
        rescale_acts_by_decoder_norm=rescale,
        apply_b_dec_to_input=centred,
        normalize_activations=normalise,
    )
    sae = load(folder)
    encoder = form_of("d", sae)
    assert isinstance(encoder, TopKForm)
    kept = everything(48)
    kept[[3, 5]] = False
    made = CpuTopK("d", encoder, kept, Buffer())
    for tokens in (0, 1, 64, 150):
        hooked = random(tokens, 32, seed=tokens)
        with torch.inference_mode():
            expected, values = sae.encode(hooked), encoder.values(hooked)
            got = dense(made.collect(hooked, Timings()), tokens)
        assert_same_values(values.numpy(), expected.numpy())
        positive = (expected > 0).sum(dim=1)
        assert (positive < k if k >= 40 else positive == k).all()
        assert_same_values(got, expected.numpy() * kept)


@pytest.mark.filterwarnings("ignore")
def test_a_dictionary_whose_norms_are_folded_is_encoded_like_it(tmp_path: Path) -> None:
    sae = load(save_dictionary(tmp_path, "topk", rescale_acts_by_decoder_norm=True))
    hooked, found = random(90, 32), []
    for _ in range(2):
        encoder = form_of("d", sae)
        assert isinstance(encoder, TopKForm)
        made = CpuTopK("d", encoder, everything(48), Buffer())
        found.append(dense(made.collect(hooked, Timings()), 90))
        assert found[-1].tobytes() == sae.encode(hooked).numpy().tobytes()
        sae.fold_W_dec_norm()
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert found[0].tobytes() != found[1].tobytes()


def test_neither_chunk_nor_threads_move_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, hooked = strongest(700, 20, width=96), random(500, 96, seed=7)
    threads, results = torch.get_num_threads(), []
    try:
        for most, number in ((4096, threads), (512, 1), (64, 2), (16, 3)):
            monkeypatch.setattr(buffer, "_MOST", most)
            torch.set_num_threads(number)
            found = CpuTopK("s", encoder, everything(700), Buffer()).collect(hooked, Timings())
            results.append((found.token.tobytes(), found.value.tobytes(), found.count.tobytes()))
    finally:
        torch.set_num_threads(threads)
    assert len(results[0][0]) == 4 * 500 * 20
    assert results[1:] == results[:1] * 3
    assert dense(found, 500).tobytes() == encoder.values(hooked).numpy().tobytes()


def test_of_equal_values_the_lower_components_stay() -> None:
    weight, ones = torch.ones(300, 4), torch.ones(300)
    weight[100] = 2
    encoder = TopKForm(LinearForm(lambda v: v, weight), torch.zeros(300), ones, 3)
    found = CpuTopK("s", encoder, everything(300), Buffer()).collect(torch.ones(70, 4), Timings())
    assert np.flatnonzero(found.count).tolist() == [0, 1, 100]
    assert dense(found, 70).tobytes() == encoder.values(torch.ones(70, 4)).numpy().tobytes()


def test_out_of_memory_halves_the_chunk_and_changes_nothing() -> None:
    encoder, hooked, kept = strongest(200, 4), random(100, 16), everything(200)
    memory = torch.OutOfMemoryError("out of memory")
    whole = CpuTopK("s", encoder, kept, Buffer()).collect(hooked, Timings())
    timings, held = Timings(), 2 * 100 * (4 + 32)
    small = Small(30 * 128 + held, memory)
    split = CpuTopK("s", encoder, kept, small).collect(hooked, timings)
    assert timings.splits == 3
    for name in ("count", "token", "value"):
        assert getattr(split, name).tobytes() == getattr(whole, name).tobytes()
    for error in (memory, RuntimeError("device is lost")):
        with pytest.raises(type(error), match=str(error)):
            CpuTopK("s", encoder, kept, Small(held, error)).collect(hooked, Timings())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["weight", "shift", "scale"])
def test_what_is_not_finite_is_refused_where_it_is_kept(where: str, bad: float) -> None:
    encoder, kept, hooked = strongest(50, 3), everything(50), random(70, 16).abs()
    assert encoder.linear.weight is not None
    parts = {"weight": encoder.linear.weight, "shift": encoder.shift, "scale": encoder.scale}
    parts[where][7] = bad
    with pytest.raises(NotFiniteError, match="source s"):
        CpuTopK("s", encoder, kept, Buffer()).collect(hooked, Timings())
    kept[7] = False
    found = CpuTopK("s", encoder, kept, Buffer()).collect(hooked, Timings())
    assert found.count[7] == 0
    assert len(found.value)


def test_a_second_batch_forgets_the_first() -> None:
    made = CpuTopK("s", strongest(100, 6), everything(100), Buffer())
    first = dense(made.collect(random(90, 16, seed=1), Timings()), 90)
    made.collect(random(300, 16, seed=2) * 100, Timings())
    again = dense(made.collect(random(90, 16, seed=1), Timings()), 90)
    assert first.tobytes() == again.tobytes()


class Largest(TorchDispatchMode):
    """Notes the most numbers that an operation of torch returned."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.most = max(self.most, made.untyped_storage().nbytes())
        return made


def test_no_array_holds_all_tokens_by_all_components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "PRODUCTS", 2**15)
    tokens, components, k = 512, 4096, 4
    encoder, hooked = strongest(components, k), random(tokens, 16)
    made = CpuTopK("s", encoder, everything(components), Buffer())
    made.collect(hooked, Timings())  # numba takes memory while it compiles
    made.buffer = Buffer()
    tracemalloc.start()
    try:
        with Largest() as seen:
            made.collect(hooked, Timings())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    dense_bytes = 4 * tokens * components
    assert 4 * 2**15 <= seen.most < dense_bytes // 10
    assert peak < dense_bytes // 20
    with Largest() as seen:
        encoder.values(hooked)
    assert seen.most >= dense_bytes
