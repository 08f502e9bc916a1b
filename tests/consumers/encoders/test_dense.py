"""A source's own function by parts, on the CPU and as on a GPU, against the dense array."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from consumers.encoders.buffer import Buffer
from consumers.encoders.encoder import Device, Encoder, EncoderJob
from consumers.encoders.forms import DenseForm
from consumers.encoders.registry import find_encoder
from consumers.encoders.timings import Timings
from streams.arrays import Bool
from streams.errors import NotFiniteError
from tests.consumers.encoders.cpu.test_linear import dense, random

CPU = torch.device("cpu")
on_both = pytest.mark.parametrize("device", ["cpu", "gpu"])


def make(
    device: Device, encode: Callable[[torch.Tensor], torch.Tensor], kept: Bool, size: int
) -> Encoder:
    form = DenseForm(encode)
    kind = find_encoder(form, device)
    assert kind is not None
    return kind.encoder(EncoderJob("d", form, kept, CPU, size, Buffer()))


def encode(hooked: torch.Tensor) -> torch.Tensor:
    return torch.where(hooked > 0.7, hooked, -0.0)


@pytest.mark.parametrize("size", [1, 7, 100])
@on_both
def test_a_sources_own_encode_is_taken_by_parts(device: Device, size: int) -> None:
    hooked, kept = random(90, 200), np.ones(200, np.bool_)
    kept[3] = False
    found = make(device, encode, kept, size).collect(hooked, Timings())
    expected = encode(hooked).numpy() * kept
    assert dense(found, 90).tobytes() == (expected + 0.0).astype(np.float32).tobytes()


@on_both
def test_whole_rows_are_taken_by_rows(device: Device) -> None:
    hooked, valid = random(5, 8, 20), random(5, 8, seed=1) > 0
    valid[1] = False
    found = make(device, encode, np.ones(20, np.bool_), 2).collect(hooked, Timings(), valid)
    expected = encode(hooked)[valid].numpy() + np.float32(0)
    assert dense(found, int(valid.sum())).tobytes() == expected.tobytes()


@on_both
def test_a_sources_own_encode_goes_on_in_halves_when_memory_runs_out(device: Device) -> None:
    asked = []

    def limited(hooked: torch.Tensor) -> torch.Tensor:
        asked.append(len(hooked))
        if len(hooked) > 30:
            raise torch.OutOfMemoryError("out of memory")
        return encode(hooked)

    timings, hooked, kept = Timings(), random(90, 20), np.ones(20, np.bool_)
    found = make(device, limited, kept, 64).collect(hooked, timings)
    assert (asked, timings.splits) == ([64, 32, 16, 16, 16, 16, 16, 10], 2)
    whole = make(device, encode, kept, 64).collect(hooked, Timings())
    assert found.value.tobytes() == whole.value.tobytes()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@on_both
def test_a_sources_own_encode_must_be_finite_where_it_is_kept(device: Device, bad: float) -> None:
    hooked, kept = random(9, 20), np.ones(20, np.bool_)
    hooked[4, 3] = bad
    own = make(device, lambda hooked: hooked, kept, 4)
    with pytest.raises(NotFiniteError, match="source d"):
        own.collect(hooked, Timings())
    kept[3] = False
    assert len(own.collect(hooked, Timings()).value) == 9 * 19
