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
from consumers.runs.default_numbers import numbers
from consumers.runs.specs import DEFAULT, ModelSpec, RunSpec
from consumers.selection.device.selection import DeviceSelector
from consumers.selection.selection import valid_tokens
from streams.records.measures import statistics
from tests import factories
from tests.consumers.device_waits import DeviceWaits
from tests.consumers.selection.device.test_selection import CPU, PLANS, tagged


def waits_of(plan: Plan, rows: int) -> tuple[int, int]:
    """Return how often the selection of a batch waits, and reading the rows of its candidates.

    What is fetched to the host comes beside: once for each statistic and ranking, twice for rows.
    """
    batch = tagged(factories.batches(per_partition=1, rows=rows))[0]
    valid = valid_tokens(plan, batch)
    activations = factories.DenseEngine(plan).compute(batch, valid)
    found = from_host(activations, plan.components, valid.shape[1])
    least = np.full(plan.clusters * plan.tables, -np.inf, np.float32)
    with DeviceWaits() as selecting:
        selected = DeviceSelector(plan, CPU).select(batch, valid, found, least)
    with DeviceWaits() as reading:
        selected.with_rows(np.arange(len(selected.candidates)))
    return selecting.total(), reading.total()


BY_DEFAULT = numbers(
    RunSpec(
        name="run",
        store="store",
        model=ModelSpec(),
        sources=(),
        statistics=(DEFAULT,),
        rankings=(DEFAULT,),
    ),
    24_576,
)
USUAL = factories.plan(
    clusterings=(),
    statistics=(*statistics(), *BY_DEFAULT.statistics),
    rankings=BY_DEFAULT.rankings,
    bucket_bytes=10**6,
)


@pytest.mark.parametrize(
    ("plan", "most"),
    [
        (PLANS["singles"], 12),
        (PLANS["overlapping clusters across sources"], 26),
        (USUAL, 24),
    ],
    ids=["singles", "overlapping clusters across sources", "what a run has by default"],
)
def test_a_batch_waits_a_few_times_whatever_its_size(plan: Plan, most: int) -> None:
    selecting, reading = waits_of(plan, 1100)  # more rows than any table keeps
    assert 0 < selecting <= most
    assert reading == 2
    assert waits_of(plan, 2000) == (selecting, reading)


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
