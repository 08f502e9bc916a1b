"""How often a batch would have the processor wait for a GPU: a few times, however large it is."""

import numpy as np
import pytest
import torch

from consumers.activations.device_activations import from_host
from consumers.encoders.forms import LinearForm
from consumers.encoders.gpu.linear import GpuLinear
from consumers.encoders.timings import Timings
from consumers.models.hook_values import HookValues
from consumers.plan import Plan
from consumers.selection.device.selection import DeviceSelector
from consumers.selection.selection import valid_tokens
from tests import factories
from tests.consumers.device_waits import DeviceWaits
from tests.consumers.selection.device.test_selection import CPU, PLANS


def waits_of(plan: Plan, rows: int) -> tuple[int, int]:
    """Return how often the selection of a batch waits, and reading the rows of its candidates.

    What is fetched to the host comes beside: once for each statistic and ranking, twice for rows.
    """
    batch = factories.batches(per_partition=1, rows=rows)[0]
    valid = valid_tokens(plan, batch)
    activations = factories.DenseEngine(plan).compute(batch, valid)
    found = from_host(activations, plan.components, valid.shape[1])
    least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
    with DeviceWaits() as selecting:
        selected = DeviceSelector(plan, CPU).select(batch, valid, found, least)
    with DeviceWaits() as reading:
        selected.with_rows(np.arange(len(selected.candidates)))
    return selecting.total(), reading.total()


@pytest.mark.parametrize(
    ("name", "most"), [("singles", 14), ("overlapping clusters across sources", 28)]
)
def test_a_batch_waits_a_few_times_whatever_its_size(name: str, most: int) -> None:
    selecting, reading = waits_of(PLANS[name], 40)
    assert 0 < selecting <= most
    assert reading == 2
    assert waits_of(PLANS[name], 160) == (selecting, reading)


@pytest.mark.parametrize("dropped", [(), (1, 3)])
def test_a_chunk_of_products_waits_once(dropped: tuple[int, ...]) -> None:
    weight = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    kept = np.ones(8, np.bool_)
    kept[list(dropped)] = False
    encoder = GpuLinear("sae", LinearForm(lambda values: values, weight), kept, CPU)
    with torch.inference_mode(), DeviceWaits() as waits:
        (part,) = encoder.chunks(torch.randn(6, 5), Timings())
    assert waits.found == {"nonzero": 1}
    assert (part.count.numpy() > 0).tolist() == kept.tolist()


def test_values_of_a_micro_batch_are_taken_without_a_wait() -> None:
    valid = np.random.default_rng(0).random((8, 6)) < 0.5
    values = torch.randn(8, 6, 4)
    hooked = HookValues(valid, (), CPU)
    with DeviceWaits() as waits:
        for first in range(0, 8, 2):
            hooked.add(slice(first, first + 2), {"hook": values[first : first + 2]})
    assert waits.total() == 0
    assert torch.equal(hooked.tokens["hook"], values[torch.from_numpy(valid)])
