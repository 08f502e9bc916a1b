"""Linear forms by chunks, on the CPU and as on a GPU, against dense arrays."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from consumers.device_transfer import fetch
from consumers.encoders import buffer
from consumers.encoders.buffer import Buffer
from consumers.encoders.cpu import linear as cpu_linear
from consumers.encoders.cpu.linear import CpuLinear
from consumers.encoders.forms import LinearForm
from consumers.encoders.gpu import device_nonzeros
from consumers.encoders.gpu import linear as gpu_linear
from consumers.encoders.gpu.linear import GpuLinear
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.products import packed_products, plain_products
from consumers.encoders.rules import Rule
from consumers.encoders.timings import Timings
from consumers.models.packing import multiplies
from streams.arrays import AnyArray, Bool
from streams.errors import NotFiniteError

CPU = torch.device("cpu")
Collector = Callable[[str, LinearForm, Bool], CpuLinear | GpuLinear]


def on_cpu(name: str, encoder: LinearForm, kept: Bool) -> CpuLinear:
    return CpuLinear(name, encoder, kept, Buffer())


def on_device(name: str, encoder: LinearForm, kept: Bool) -> GpuLinear:
    return GpuLinear(name, encoder, kept, CPU)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rectified(components: int, width: int = 16, gated: bool = False) -> LinearForm:
    shift = random(components, seed=2) - 2
    scale = random(components, seed=3).exp() if gated else torch.ones(components)
    gate = random(components, seed=4) - 2 if gated else shift
    cut = random(components, seed=5).clamp(min=0)
    weight = random(width, components, seed=1).T
    return LinearForm(lambda values: values.float(), weight, Rule(scale, shift, gate, cut))


def plain(components: int, width: int = 16) -> LinearForm:
    return LinearForm(lambda values: values.float(), random(width, components, seed=1).T)


VALUES = LinearForm(lambda values: values)


def dense(found: NonZeros, tokens: int) -> AnyArray:
    out = np.zeros((tokens, len(found.count)), np.float32)
    component = np.repeat(np.arange(len(found.count)), found.count)
    out[found.token, component] = found.value
    order = np.lexsort((found.token, component))
    assert (order == np.arange(len(order))).all()
    assert (found.value != 0).all()
    return out


def assert_same_values(found: AnyArray, expected: AnyArray) -> None:
    """Assert that values [token, component] are the same, to the last bit from two tokens on.

    Both come from one and the same product of float32, whatever the chunk. A product with a single
    token is one with a vector, whose sums some BLAS add up in another order.
    """
    if len(expected) == 1:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    else:
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("collector", [on_cpu, on_device])
@pytest.mark.parametrize("tokens", [0, 1, 64, 150])
@pytest.mark.parametrize("kind", ["relu", "gated", "weights", "values", "narrow", "onednn"])
def test_non_zeros_are_those_of_the_dense_array(
    kind: str, tokens: int, collector: Collector
) -> None:
    encoder = {
        "relu": rectified(300),
        "gated": rectified(300, gated=True),
        "weights": plain(300),
        "values": VALUES,
        "narrow": rectified(300).in_bfloat16(),
        "onednn": rectified(300).by_onednn(),
    }[kind]
    hooked = random(tokens, 16, seed=7)
    hooked[::3, 2] = 0
    expected = encoder.values(hooked)
    kept = np.ones(expected.shape[1], np.bool_)
    kept[[3, 5]] = False
    found = collector("s", encoder, kept).collect(hooked, Timings())
    got = dense(found, tokens)
    assert (got[:, [3, 5]] == 0).all()
    expected[:, [3, 5]] = 0
    assert_same_values(got, (expected + 0.0).float().contiguous().numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("tokens", "width"), [(1, 7), (5, 96), (150, 768)])
def test_onednn_gives_the_same_products_but_for_the_order_of_sums(
    tokens: int, width: int, dtype: torch.dtype
) -> None:
    weight, prepared = random(width, 200).T.to(dtype), random(tokens, width, seed=1).to(dtype)
    room = torch.empty(50, 192, dtype=dtype)
    if not multiplies(dtype):  # then no encoder takes it
        with pytest.raises(RuntimeError, match="cpu support"):
            packed_products(weight, prepared)
        return
    expected = plain_products(weight, prepared)(20, 70, room)[:, :tokens]
    found = packed_products(weight, prepared)(20, 70, room)[:, :tokens]
    one_rounding = 2.0**-7 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found, expected, rtol=one_rounding, atol=1e-4)
    assert expected.std() > 1


def test_the_chunk_does_not_move_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked, kept = random(500, 96, seed=7), np.ones(700, np.bool_)
    wide = rectified(700, 96)
    narrow = wide.in_bfloat16()
    for encoder in (wide, narrow, wide.by_onednn(), narrow.by_onednn()):
        results = []
        for most in (4096, 512, 64, 16):
            monkeypatch.setattr(buffer, "_MOST", most)
            found = on_cpu("s", encoder, kept).collect(hooked, Timings())
            results.append((found.token.tobytes(), found.value.tobytes(), found.count.tobytes()))
        assert len(results[0][0]) > 1000
        assert results[1:] == results[:1] * 3


class Small(Buffer):
    """Gives room up to some numbers, then none."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.most, self.error = most, error

    def take(self, numbers: int, dtype: torch.dtype) -> torch.Tensor:
        if numbers > self.most:
            raise self.error
        return super().take(numbers, dtype)


def test_out_of_memory_halves_the_chunk_and_changes_nothing() -> None:
    encoder, kept, hooked = rectified(200), np.ones(200, np.bool_), random(100, 16)
    memory = torch.OutOfMemoryError("out of memory")
    whole = on_cpu("s", encoder, kept).collect(hooked, Timings())
    timings = Timings()
    small = CpuLinear("s", encoder, kept, Small(30 * 128, memory)).collect(hooked, timings)
    assert timings.splits == 3
    assert small.value.tobytes() == whole.value.tobytes()
    assert small.token.tolist() == whole.token.tolist()
    with pytest.raises(torch.OutOfMemoryError):
        CpuLinear("s", encoder, kept, Small(0, memory)).collect(hooked, Timings())
    timings = Timings()
    with pytest.raises(RuntimeError, match="device is lost"):
        CpuLinear("s", encoder, kept, Small(0, RuntimeError("device is lost"))).collect(
            hooked, timings
        )
    assert timings.splits == 0


def test_a_device_out_of_memory_halves_the_chunk() -> None:
    encoder, kept, hooked = rectified(200), np.ones(200, np.bool_), random(100, 16)
    whole = on_device("s", encoder, kept).collect(hooked, Timings())
    limited, timings = on_device("s", encoder, kept), Timings()
    inner = limited._chunk

    def chunk(prepared: torch.Tensor, first: int, stop: int) -> object:
        if stop - first > 60:
            raise torch.OutOfMemoryError("out of memory")
        return inner(prepared, first, stop)

    limited._chunk = chunk  # type: ignore[method-assign, assignment]  # a device without memory
    split = limited.collect(hooked, timings)
    assert timings.splits == 2
    assert split.value.tobytes() == whole.value.tobytes()


@pytest.mark.parametrize("collector", [on_cpu, on_device])
@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_not_finite_is_refused(collector: Collector, narrow: bool) -> None:
    """Products that overflow to both sides give a NaN with a sign, whose bits are below 0."""

    def collect(first: float, second: float, component: int = 1) -> NonZeros:
        weight = torch.zeros(3, 4)
        weight[1, 0], weight[1, 1] = first, second
        zeros = torch.zeros(3)
        encoder = LinearForm(lambda v: v, weight, Rule(torch.ones(3), zeros, zeros, zeros))
        kept = np.arange(3) != component if component != 1 else np.ones(3, np.bool_)
        made = collector("s", encoder.in_bfloat16() if narrow else encoder, kept)
        return made.collect(torch.full((70, 4), 1e30), Timings())

    assert len(collect(1, -1).value) == 0
    assert len(collect(2, -1).value) == 70
    assert len(collect(-1e30, 0).value) == 0  # minus infinity is no activity
    with pytest.raises(NotFiniteError, match="source s"):
        collect(1e30, 0)
    with pytest.raises(NotFiniteError, match="source s"):
        collect(1e30, -1e30)
    with pytest.raises(NotFiniteError, match="source s"):
        collect(float("nan"), 0)


@pytest.mark.parametrize("collector", [on_cpu, on_device])
@pytest.mark.parametrize("narrow", [False, True])
def test_a_bias_that_is_not_finite_is_refused_unless_it_silences(
    collector: Collector, narrow: bool
) -> None:
    def collect(bias: float) -> NonZeros:
        shift = torch.tensor([0.5, bias])
        parts = (torch.ones(2), shift, shift, torch.zeros(2))
        encoder = LinearForm(lambda v: v, torch.ones(2, 4), Rule(*parts))
        made = collector("s", encoder.in_bfloat16() if narrow else encoder, np.ones(2, np.bool_))
        return made.collect(torch.ones(70, 4), Timings())

    assert collect(-float("inf")).count.tolist() == [70, 0]
    for bias in (float("inf"), float("nan"), -float("nan")):
        with pytest.raises(NotFiniteError, match="source s"):
            collect(bias)


@pytest.mark.parametrize("collector", [on_cpu, on_device])
def test_what_is_not_finite_in_a_dropped_component_is_nothing(collector: Collector) -> None:
    encoder = rectified(5)
    assert encoder.weight is not None
    encoder.weight[2] = float("nan")
    kept = np.arange(5) != 2
    found = collector("s", encoder, kept).collect(random(9, 16), Timings())
    assert len(found.value)
    with pytest.raises(NotFiniteError):
        collector("s", encoder, np.ones(5, np.bool_)).collect(random(9, 16), Timings())


@pytest.mark.parametrize("collector", [on_cpu, on_device])
@pytest.mark.parametrize("bad", [float("nan"), -float("nan"), float("inf"), -float("inf")])
def test_signed_values_that_are_not_finite_are_refused(collector: Collector, bad: float) -> None:
    hooked = random(9, 16)
    hooked[4, 3] = bad
    with pytest.raises(NotFiniteError, match="source n"):
        collector("n", VALUES, np.ones(16, np.bool_)).collect(hooked, Timings())


def test_a_second_batch_forgets_the_first() -> None:
    made = on_cpu("s", rectified(100), np.ones(100, np.bool_))
    first = dense(made.collect(random(90, 16, seed=1), Timings()), 90)
    made.collect(random(300, 16, seed=2), Timings())
    again = dense(made.collect(random(90, 16, seed=1), Timings()), 90)
    assert first.tobytes() == again.tobytes()


class Written(TorchDispatchMode):
    """Notes which operations of torch wrote so many numbers or more, and how many."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least
        self.numbers: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        view = any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns)
        name, untouched = func.overloadpacket.__name__, view or "empty" in str(func)
        if isinstance(made, torch.Tensor) and made.numel() >= self.least and not untouched:
            self.numbers[name] += made.numel()
        return made


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "signed"])
def test_each_number_is_written_once_and_read_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch writes is seen by torch; that nothing else reads than the loop, by the count."""
    wide = plain(700) if kind == "signed" else rectified(700)
    encoder = wide.in_bfloat16() if kind == "bfloat16" else wide
    loop = "append_non_zeros" if kind == "signed" else "append_fired"
    search, read = getattr(cpu_linear, loop), list[int]()

    def searched(bits: AnyArray, *rest: Any) -> Any:
        tokens = rest[0] if kind == "signed" else rest[1]
        read.append(len(bits) * tokens)
        return search(bits, *rest)

    monkeypatch.setattr(cpu_linear, loop, searched)
    monkeypatch.setattr(buffer, "_MOST", 64)
    made, hooked = on_cpu("s", encoder, np.ones(700, np.bool_)), random(500, 16)
    with Written(60 * 500) as torch_did:
        made.collect(hooked, Timings())
    assert torch_did.numbers == {"mm": 700 * 500}
    assert (len(read), sum(read)) == (11, 700 * 500)


@pytest.mark.parametrize("narrow", [False, True])
def test_on_a_device_each_number_is_written_and_compared_once(
    narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_linear, "PRODUCTS", 64 * 500)
    shift, none = torch.full((700,), -13.0), torch.zeros(700)
    rare = replace(rectified(700), rule=Rule(torch.ones(700), shift, shift, none))
    encoder = rare.in_bfloat16() if narrow else rare
    made, timings = on_device("s", encoder, np.ones(700, np.bool_)), Timings()
    with Written(60 * 500) as torch_did:
        found = made.collect(random(500, 16), timings)
    assert 0 < len(found.value) < 60 * 500 / 8
    assert torch_did.numbers == {"mm": 700 * 500, "lt": 700 * 500, "logical_not_": 700 * 500}
    assert timings.host_bytes == 4 * 700 + 8 * len(found.value)


def test_one_transfer_brings_out_what_a_source_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_linear, "PRODUCTS", 64 * 90)
    moved = list[int]()

    def noted(values: torch.Tensor) -> AnyArray:
        moved.append(values.nbytes)
        return fetch(values)

    monkeypatch.setattr(device_nonzeros, "fetch", noted)
    found = on_device("s", rectified(300), np.ones(300, np.bool_)).collect(
        random(90, 16), Timings()
    )
    assert moved == [4 * 300 + 8 * len(found.value)]
