"""The loops that look for non-zeros, each held to a slow twin bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from consumers.encoders.cpu.scanning import NonZeroBuffer, append_fired, append_non_zeros
from consumers.encoders.float_order import order
from consumers.encoders.nonzeros import by_component, place
from consumers.models.hook_values import check_finite
from streams.arrays import F32, AnyArray, Bool
from streams.errors import NotFiniteError

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-45, -1e-45], np.float32)


def raw_numbers(seed: int, rows: int, columns: int, special: bool = True) -> F32:
    random = np.random.default_rng(seed)
    raw = random.standard_normal((rows, columns)).astype(np.float32)
    raw[random.random(raw.shape) < 0.5] = 0
    if special:
        raw = np.where(random.random(raw.shape) < 0.1, random.choice(SPECIAL, raw.shape), raw)
    return raw


def key(value: F32) -> AnyArray:
    bits = np.asarray(value, np.float32).view(np.int32)
    return np.where(bits >= 0, bits, bits ^ 0x7FFFFFFF)


def slow_fired(
    raw: F32, least: AnyArray, scale: F32, shift: F32, kept: Bool
) -> tuple[list[int], list[int], list[bytes]]:
    component, token, value = [], [], []
    for c, row in enumerate(raw):
        for t, number in enumerate(row):
            if kept[c] and key(number) >= least[c]:
                component.append(c)
                token.append(t)
                value.append(np.float32(np.float32(number * scale[c]) + shift[c]).tobytes())
    return component, token, value


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 200])
def test_what_fires_is_found_in_order(columns: int, narrow: bool) -> None:
    raw = raw_numbers(columns, 9, columns + 3)
    bits: AnyArray = raw.view(np.int32)
    if narrow:
        bits = (bits >> 16).astype(np.int16)
        raw = (bits.astype(np.int32) << 16).view(np.float32)
    least = key(np.array([1, 0.5, 0, -0.0, -1, 1e-45, np.inf, 2, -2], np.float32)).astype(np.int32)
    random = np.random.default_rng(1)
    scale, shift = random.random(9).astype(np.float32), random.random(9).astype(np.float32)
    kept = np.ones(9, bool)
    kept[7] = False
    token, value = np.zeros(9 * columns + 4, np.int32), np.zeros(9 * columns + 4, np.float32)
    count = np.full(9, -1)
    used = append_fired(
        bits, 16 if narrow else 0, columns, least, scale, shift, kept, token, value, count, 4
    )
    component, tokens, values = slow_fired(raw[:, :columns], least, scale, shift, kept)
    assert used == 4 + len(tokens)
    assert count.tolist() == np.bincount(component, minlength=9).tolist()
    assert token[:used].tolist() == [0] * 4 + tokens
    assert [one.tobytes() for one in value[4:used] if one == one] == [
        one for one in values if np.frombuffer(one, np.float32) == np.frombuffer(one, np.float32)
    ]


@pytest.mark.parametrize("columns", [1, 63, 64, 65, 200])
def test_what_is_not_zero_is_found_in_order(columns: int) -> None:
    raw = raw_numbers(columns, 5, columns + 1)
    kept = np.array([True, True, False, True, True])
    token, value = np.zeros(5 * columns, np.int32), np.zeros(5 * columns, np.float32)
    count = np.zeros(5, np.int64)
    used = append_non_zeros(raw.view(np.int32), columns, kept, token, value, count, 0)
    expected = [
        (c, t, raw[c, t].tobytes())
        for c in range(5)
        for t in range(columns)
        if kept[c] and raw[c, t] != 0
    ]
    component = np.repeat(np.arange(5), count)
    found = zip(component.tolist(), token[:used].tolist(), value[:used], strict=True)
    assert [(c, t, v.tobytes()) for c, t, v in found] == expected


@given(st.lists(st.integers(0, 6), max_size=40))
def test_sorting_by_component_is_stable(components: list[int]) -> None:
    component = np.array(components, np.int32)
    token = np.arange(len(component), dtype=np.int32)
    count = np.bincount(component, minlength=7)
    out, values = np.empty_like(token), np.empty(len(token), np.float32)
    by_component(component, token, token.astype(np.float32), np.cumsum(count) - count, out, values)
    assert out.tolist() == np.argsort(component, kind="stable").tolist()
    assert values.tolist() == out.tolist()


def test_places_are_looked_up() -> None:
    count, token = np.array([2, 0, 1]), np.array([0, 2, 1], np.int32)
    row_of, position_of = np.array([0, 0, 3], np.int32), np.array([1, 4, 2], np.int32)
    component, row, position = np.empty(3, np.int64), np.empty(3, np.int32), np.empty(3, np.int32)
    place(count, token, row_of, position_of, 10, component, row, position)
    assert component.tolist() == [10, 10, 12]
    assert (row.tolist(), position.tolist()) == ([0, 3, 0], [1, 2, 4])


def test_order_is_that_of_floats() -> None:
    values = torch.tensor([-torch.inf, -2.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, torch.inf])
    assert (order(values).diff() > 0).all()
    assert order(values[4:]).equal(values[4:].view(torch.int32))


def test_a_store_grows_and_keeps_what_it_holds() -> None:
    store = NonZeroBuffer()
    store.reserve(3)
    store.token[:3], store.value[:3], store.used = [1, 2, 3], [4, 5, 6], 3
    first = store.token
    store.reserve(0)
    assert store.token is first
    store.reserve(1)
    assert len(store.token) == len(store.value) == 6
    assert (store.token[:3].tolist(), store.value[:3].tolist()) == ([1, 2, 3], [4, 5, 6])


def test_finite_values_may_have_a_sum_that_is_not() -> None:
    check_finite(torch.full((4,), 3e38), "x")
    with pytest.raises(NotFiniteError, match="x"):
        check_finite(torch.tensor([1.0, torch.nan]), "x")
