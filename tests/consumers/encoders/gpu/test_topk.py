"""TopK by one integer key per value, chunk after chunk, against all values of the form at once."""

import numpy as np
import pytest
import torch

from consumers.encoders.forms import LinearForm, TopKForm
from consumers.encoders.gpu import topk
from consumers.encoders.gpu.topk import GpuTopK
from consumers.encoders.timings import Timings
from streams.errors import NotFiniteError
from tests.consumers.encoders.cpu.test_linear import dense, random

CPU = torch.device("cpu")


def form(components: int, k: int) -> TopKForm:
    """Return a form whose values are often equal: sums of few whole numbers."""
    weight = random(components, 8, seed=1).round()
    return TopKForm(LinearForm(lambda v: v, weight), random(components).round(), torch.ones(1), k)


def made(given: TopKForm, kept: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> GpuTopK:
    assert given.linear.weight is not None
    whole = TopKForm(given.linear, given.shift, given.scale.expand(len(kept)), given.k)
    return GpuTopK("d", whole, kept, CPU)


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_of_equal_values_the_lower_component_is_kept(
    size: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk, "KEYS", size * 30)
    given, hooked, kept = form(40, k), random(30, 8, seed=2).round(), np.ones(40, np.bool_)
    kept[3] = False
    found = made(given, kept).collect(hooked, Timings())
    expected = given.values(hooked).numpy() * kept
    assert dense(found, 30).tobytes() == (expected + 0.0).astype(np.float32).tobytes()
    assert len(found.value) > 20


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_where_it_is_kept(bad: float) -> None:
    given, hooked, kept = form(40, 3), random(30, 8, seed=2).round(), np.ones(40, np.bool_)
    given.shift[7] = bad
    with pytest.raises(NotFiniteError, match="source d"):
        made(given, kept).collect(hooked, Timings())
    kept[7] = False
    assert len(made(given, kept).collect(hooked, Timings()).value) > 20
    given.shift[7] = -float("inf")
    kept[7] = True
    assert len(made(given, kept).collect(hooked, Timings()).value) > 20
