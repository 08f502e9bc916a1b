"""The loops that pick the k largest values of each token, held to a slow twin bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.encoders.cpu.token_topk import count_strongest, keep_strongest, sort_strongest
from streams.arrays import F32, AnyArray, Bool


def picked(
    product: F32, shift: F32, scale: F32, kept: Bool, tokens: int, k: int, slack: int, chunk: int
) -> tuple[bool, list[tuple[int, int, bytes]]]:
    """Return whether all is finite, and (component, token, value) as the loops find them."""
    components = len(product)
    room = min(k + slack, components)
    # Whatever stood there before must not matter.
    keys = np.full((tokens, room), 2**62, np.int64)
    used, least = np.zeros(tokens, np.int32), np.zeros(tokens, np.float32)
    for first in range(0, components, chunk):
        part = slice(first, first + chunk)
        if not keep_strongest(
            product[part], tokens, first, shift[part], scale[part], kept[part], k,
            keys, used, least,
        ):  # fmt: skip
            return False, []
    count = np.zeros(components, np.int64)
    count_strongest(keys, used, kept, k, count)
    token, value = np.zeros(count.sum(), np.int32), np.zeros(count.sum(), np.float32)
    sort_strongest(keys, used, kept, np.cumsum(count) - count, token, value)
    component = np.repeat(np.arange(components), count).tolist()
    values = [one.tobytes() for one in value]
    return True, list(zip(component, token.tolist(), values, strict=True))


def slow_picked(
    product: F32, shift: F32, scale: F32, kept: Bool, tokens: int, k: int
) -> tuple[bool, list[tuple[int, int, bytes]]]:
    found = []
    for t in range(tokens):
        values = [
            (row[t] + add) * times for row, add, times in zip(product, shift, scale, strict=True)
        ]
        if any(here and not one < np.inf for one, here in zip(values, kept, strict=True)):
            return False, []
        values = [np.float32(np.inf) if one != one else one for one in values]
        best = sorted(range(len(values)), key=lambda c: (-values[c], c))[:k]
        found += [(c, t, values[c].tobytes()) for c in best if values[c] > 0 and kept[c]]
    return True, sorted(found)


def numbers(seed: int, components: int, columns: int, levels: int) -> F32:
    """Return random products; with few levels many are equal."""
    random = np.random.default_rng(seed)
    raw: AnyArray = random.standard_normal((components, columns))
    return (np.round(raw * levels) / levels).astype(np.float32)


@pytest.mark.parametrize("levels", [2, 10**6])
@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("k", [1, 7, 40, 90])
def test_the_k_largest_of_each_token_stay(k: int, tokens: int, levels: int) -> None:
    product = numbers(k + tokens, 90, tokens + 3, levels)
    product[:, tokens:] = np.nan  # what a buffer may hold beyond the last token
    random = np.random.default_rng(1)
    shift = np.round(random.standard_normal(90)).astype(np.float32)
    kept = random.random(90) < 0.9
    for scale in (np.ones(90, np.float32), random.random(90).astype(np.float32)):
        expected = slow_picked(product, shift, scale, kept, tokens, k)
        assert expected[1]
        for slack, chunk in ((1, 90), (5, 7), (100, 64)):
            got = picked(product, shift, scale, kept, tokens, k, slack, chunk)
            assert got == expected


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 40), st.sampled_from([1, 3, 1000]))
def test_any_k_and_any_room_pick_the_same(seed: int, k: int, slack: int, levels: int) -> None:
    product, ones = numbers(seed, 60, 64, levels), np.ones(60, np.float32)
    shift, kept = np.zeros(60, np.float32), np.ones(60, np.bool_)
    expected = slow_picked(product, shift, ones, kept, 3, k)
    assert picked(product, shift, ones, kept, 3, k, slack, 25) == expected


@pytest.mark.parametrize("rising", [1, -1])
def test_sorted_values_are_picked_like_others(rising: int) -> None:
    """These are what a careless choice of a pivot would make slow or endless."""
    product = np.repeat(np.arange(500, dtype=np.float32)[::rising, None], 64, axis=1)
    shift, ones, kept = np.zeros(500, np.float32), np.ones(500, np.float32), np.ones(500, np.bool_)
    for k in (1, 30, 499, 500):
        expected = slow_picked(product, shift, ones, kept, 2, k)
        assert picked(product, shift, ones, kept, 2, k, 200, 100) == expected


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("token", [5, 66])
def test_what_is_not_finite_is_found_wherever_it_is_kept(bad: float, token: int) -> None:
    product, kept = numbers(0, 50, 128, 1000), np.ones(50, np.bool_)
    shift, ones = np.zeros(50, np.float32), np.ones(50, np.float32)
    product[40, token] = bad
    assert picked(product, shift, ones, kept, 70, 3, 4, 50) == (False, [])
    assert picked(product, shift, ones, kept, token, 3, 4, 50)[0]
    # A component that is dropped takes its place among the k, and nothing else happens.
    kept[40] = False
    finite, found = picked(product, shift, ones, kept, 70, 3, 4, 50)
    assert (finite, found) == slow_picked(product, shift, ones, kept, 70, 3)
    assert finite
    assert sum(t == token for _, t, _ in found) == 2


def test_minus_infinity_is_no_activity() -> None:
    product = np.full((10, 64), -np.inf, np.float32)
    product[4] = 1
    shift, ones, kept = np.zeros(10, np.float32), np.ones(10, np.float32), np.ones(10, np.bool_)
    one = np.float32(1).tobytes()
    assert picked(product, shift, ones, kept, 2, 3, 4, 5) == (True, [(4, 0, one), (4, 1, one)])
