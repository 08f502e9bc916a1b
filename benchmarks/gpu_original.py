"""The original's steps on a card: storing with a copy per component, and its loop over features."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.references import storing as original
from benchmarks.references.features import add_sequentially, empty
from benchmarks.storing_batches import Workload, make
from benchmarks.timing import interleaved, per, ratio
from consumers.storage.blocks import Blocks, DenseBatch

STORED = Workload("100 x 32 x 5 x 128", 100, 32, 5)
TINY_STORED = Workload("4 x 3 x 2 x 8", 4, 3, 2, 8)
SAMPLES, CONTEXT, FEATURES = 100_000, 512, 16_384
OURS = "ours: blocks"


def storing(device: str, tiny: bool) -> list[dict[str, Any]]:
    """Return what a batch takes to store whose activations lie on the device, transfers included.

    R0 copies each row of each component by itself, R1 and R2 copy the batch at once and then loop,
    ours copies it, component by component, and appends blocks.
    """
    workload = TINY_STORED if tiny else STORED
    members, base = make(workload)
    batch = original.token_major(base, members)
    there = replace(
        batch, clusters=batch.clusters.to(device), components=batch.components.to(device)
    )
    values = torch.from_numpy(base.components).to(device)
    blocks = Blocks(members)
    loops = {
        "R0": original.store_copying,
        "R1": original.store_hoisted,
        "R2": original.store_extending,
    }
    ways: dict[str, Callable[[], object]] = {
        name: _loop(store, there) for name, store in loops.items()
    }
    ways[OURS] = lambda: _append(blocks, base, values)
    seconds = dict(interleaved(ways, 3, warm_up=1))
    return [
        {
            "shape": workload.name,
            "way": name,
            "ms": per(spread, 1e-3),
            "over ours": ratio(spread, seconds[OURS]),
        }
        for name, spread in seconds.items()
    ]


def _loop(store: Any, batch: Any) -> Callable[[], object]:
    return lambda: store(original.empty(batch.column), batch)


def _append(blocks: Blocks, base: DenseBatch, values: torch.Tensor) -> None:
    found = values.cpu().numpy()
    maxima = values.view(len(base.clusters), -1, *values.shape[1:]).amax(1).cpu().numpy()
    blocks.clear()
    blocks.append(replace(base, components=found, clusters=maxima))


def extraction(device: str, rates: Sequence[tuple[str, float]], tiny: bool) -> list[dict[str, Any]]:
    """Return the hours that 100,000 samples of 512 tokens take, extrapolated from parts.

    The original's loop (a copy, a maximum and a heap for each sample and feature) is timed on
    random activations without the forward that it needs, too. rates: tokens per second of our
    whole service.
    """
    features, context = (64, 32) if tiny else (FEATURES, CONTEXT)
    samples = 2
    values = torch.rand((samples, context, features), device=device)
    heaps = empty(features, 100)
    turns = {"loop": lambda: add_sequentially(heaps, values, range(samples))}
    loop = dict(interleaved(turns, 2, warm_up=0))["loop"].median
    rows = [
        {
            "way": "the original's loop, without its forward",
            "measured": f"{samples} samples of {context} tokens, {features:,} features",
            "hours for 100,000 x 512": loop / samples * SAMPLES / 3600,
        }
    ]
    for name, rate in rates:
        rows.append(
            {
                "way": f"the service, {name}",
                "measured": "its rate at rows of 128 tokens",
                "hours for 100,000 x 512": SAMPLES * CONTEXT / rate / 3600,
            }
        )
    return rows
