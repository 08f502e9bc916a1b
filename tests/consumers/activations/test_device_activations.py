"""Non-zeros of all sources put together on a device: the same entries, and few bytes for each."""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from consumers.activations.device_activations import joined
from consumers.encoders.gpu.device_nonzeros import DeviceNonZeros
from streams.errors import NotFiniteError
from tests.streams.strategies import quick

CPU = torch.device("cpu")


def part(first: int, counts: Sequence[int], seed: int = 0) -> DeviceNonZeros:
    """Return non-zeros at tokens from 0 on, as many of each component as ``counts`` says."""
    token = np.concatenate([np.arange(0), *(np.arange(n) for n in counts)]).astype(np.int32)
    value = torch.randn(len(token), generator=torch.Generator().manual_seed(seed))
    count = torch.tensor(counts, dtype=torch.int32)
    return DeviceNonZeros(first, first + len(counts), count, torch.from_numpy(token), value)


@quick
@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), max_size=4), st.integers(0, 99)
)
def test_entries_are_those_of_the_parts_at_the_places_of_valid_tokens(
    counts: list[list[int]], seed: int
) -> None:
    valid = np.random.default_rng(seed).permutation([True] * 6 + [False] * 6).reshape(3, 4)
    parts = [part(0, each, number) for number, each in enumerate(counts)]
    every = [n for each in counts for n in each]
    places = np.flatnonzero(valid)
    tokens = [places[at] for n in every for at in range(n)]
    values = [v for each in parts for v in each.value.tolist()]
    found = joined([("sae", each) for each in parts], len(every), valid, CPU)
    assert found.first.tolist() == [0, *np.cumsum(every).tolist()]
    assert found.token.tolist() == tokens
    assert found.value.tolist() == values
    assert (found.token.dtype, found.value.dtype) == (torch.int64, torch.float32)
    assert found.positions == 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_source_that_is_not_finite_is_named(bad: float) -> None:
    parts = [("first", part(0, [2, 3])), ("second", part(0, [4]))]
    parts[1][1].value[3] = bad
    with pytest.raises(NotFiniteError, match="second"):
        joined(parts, 3, np.ones((2, 2), np.bool_), CPU)


class LiveBytes(TorchDispatchMode):
    """Follows what the results of torch operations hold while they live; most: at once."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[weakref.ref[Any]] = []
        self.most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self._made.append(weakref.ref(out))
        live = [each for each in (made() for made in self._made) if each is not None]
        held = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in live}
        self.most = max(self.most, sum(held.values()))
        return out


def test_at_most_twenty_bytes_a_value_are_held_and_twelve_remain() -> None:
    tokens, components, chunk = 2000, 60, 6
    valid = np.ones((100, tokens // 100), np.bool_)
    with LiveBytes() as live:
        parts = [
            ("neurons", DeviceNonZeros(
                first, first + chunk,
                torch.full((chunk,), tokens, dtype=torch.int32),
                torch.arange(tokens, dtype=torch.int32).repeat(chunk),
                torch.ones(chunk * tokens),
            ))
            for first in range(0, components, chunk)
        ]  # fmt: skip
        found = joined(parts, components, valid, CPU)
    values = tokens * components
    assert parts == []
    assert found.token.nbytes + found.value.nbytes == 12 * values
    assert 20 * values <= live.most < 21.5 * values
