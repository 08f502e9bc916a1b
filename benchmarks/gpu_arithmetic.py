"""The arithmetic of a run and nothing else: its forward, and a product per dictionary."""

import statistics
import time

import torch

from benchmarks.shapes import Shape, token_rows
from consumers.activations.torch_engine import TorchEngine
from consumers.encoders.forms import LinearForm, Numerics
from consumers.encoders.gpu.chunk_sizes import at_once
from consumers.models.dtypes import NARROW, pick_dtype
from consumers.models.tf32 import set_tf32


def arithmetic_rate(engine: TorchEngine, shape: Shape, rows: int, times: int = 3) -> float:
    """Return tokens per second of the forward and of all products, each written and forgotten.

    The same forward, micro-batches, dtype and chunks as the service's; no comparison, no selection.
    """
    ids = torch.from_numpy(token_rows(shape, rows, 1).astype("int64"))
    device, model = engine.model.device, engine.plan.run.model
    hooks = sorted({source.hook for source in engine.sources})
    numerics = Numerics(narrow=model.dtype == NARROW == pick_dtype("auto", device))
    forms = list[tuple[str, LinearForm, int]]()
    for source in engine.sources:
        form = source.dense if source.form is None else source.form.under(numerics)
        if not isinstance(form, LinearForm):
            raise TypeError(f"source {source.name} is no linear form")
        forms.append((source.hook, form, source.components))

    def compute() -> None:
        found: dict[str, list[torch.Tensor]] = {hook: [] for hook in hooks}
        for first in range(0, rows, model.micro_batch):
            part = engine.model.run(ids[first : first + model.micro_batch].to(device), hooks)
            for hook in hooks:
                found[hook].append(part[hook].flatten(0, 1).flatten(1))
        for hook, form, components in forms:
            prepared = form.prepare(torch.cat(found[hook]))
            products = form.products(prepared)
            size = max(1, min(components, at_once(device, 2**24) // len(prepared)))
            room = prepared.new_empty((size, len(prepared)), dtype=form.dtype)
            for first in range(0, components, size):
                stop = min(first + size, components)
                products(first, stop, room[: stop - first])

    seconds = list[float]()
    with torch.inference_mode():
        set_tf32(model.tf32)
        compute()
        for _ in range(times):
            _settle(device)
            begun = time.perf_counter()
            compute()
            _settle(device)
            seconds.append(time.perf_counter() - begun)
    return ids.numel() / statistics.median(seconds)


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
