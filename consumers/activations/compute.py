"""The engine on torch: forwards of the model by micro-batch, then all sources, non-zeros out."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from consumers.activations.buffer import Buffer
from consumers.activations.chunks import Chunks
from consumers.activations.dense import Dense
from consumers.activations.encoders import TopKEncoder
from consumers.activations.engine import Activations
from consumers.activations.hook_values import HookValues
from consumers.activations.nonzeros import NonZeros, out_of_memory, place
from consumers.activations.on_device import OnDevice
from consumers.activations.sources import LoadedSource
from consumers.activations.timings import Timings
from consumers.activations.topk import TopK
from consumers.inference.dtypes import NARROW, pick_dtype
from consumers.inference.models import LanguageModel
from consumers.plan import Plan
from streams.arrays import AnyArray, Bool
from streams.records.corpus import TokenBatch

Collect = Callable[[HookValues, Timings], NonZeros]


class TorchEngine:
    """Computes batches; the same batch gives the same bits on the same machine and device.

    Rows go through the model in order, ``run.model.micro_batch`` at a time. If the device runs out
    of memory the rest of that batch goes on in halves, down to single rows, which can move the last
    bits. What the hooks gave is then encoded for all tokens of the batch at once, some components
    at a time, so that no dense [token, component] array exists; see ``chunks`` and ``topk`` for the
    CPU, ``on_device`` for others and ``dense`` for what SAELens alone can encode. With
    ``run.model.dtype`` bfloat16 dictionaries are multiplied in bfloat16, too, where the processor
    has it; see ``Encoder.in_bfloat16``.
    """

    def __init__(
        self,
        plan: Plan,
        model: LanguageModel,
        sources: Sequence[LoadedSource],
        on_device: bool | None = None,
    ) -> None:
        """Prepare an engine. on_device: encode as on a GPU; None for what the device asks for."""
        self.plan = plan
        self.model = model
        self.sources = tuple(sources)
        self.timings = Timings()
        self._hooks = sorted({source.hook for source in sources})
        self._row_hooks = sorted({s.hook for s in sources if s.whole_rows})
        if on_device is None:
            on_device = model.device.type != "cpu"
        buffer = Buffer()
        self._collect = [
            _collect(plan, number, source, model.device, None if on_device else buffer)
            for number, source in enumerate(sources)
        ]
        # Hooks sit on the model itself, so that only one thread may run it.
        self._one_at_a_time = threading.Lock()
        torch.set_float32_matmul_precision("highest")

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the activations where ``valid`` [row, position] holds.

        Raises NotFiniteError if a hook or a component is NaN or infinite at a valid token, and the
        device's own error if not even a single row fits its memory. Workers of one process may
        share an engine: each waits until it is free.
        """
        with self._one_at_a_time, torch.inference_mode():
            return self._compute(batch, valid)

    def _compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        if torch.get_num_threads() != self.plan.run.model.threads:
            torch.set_num_threads(self.plan.run.model.threads)  # counts per calling thread
        found = list[NonZeros]()
        if valid.any():
            hooked = self._forward(batch.ids, valid)
            found = [collect(hooked, self.timings) for collect in self._collect]
        self.timings.batches += 1
        self.timings.tokens += int(valid.sum())
        start = time.perf_counter()
        activations = self._joined(found, valid)
        self.timings.select += time.perf_counter() - start
        return activations

    def _forward(self, ids: AnyArray, valid: Bool) -> HookValues:
        """Return the values of all hooks, micro-batch by micro-batch."""
        hooked = HookValues(valid, self._row_hooks, self.model.device)
        size, first, rows = self.plan.run.model.micro_batch, 0, len(valid)
        while first < rows:
            size = min(size, rows - first)
            part = slice(first, first + size)
            if not valid[part].any() or self._fits(ids, part, hooked, last=size == 1):
                first += size
            else:
                size //= 2
                self.timings.splits += 1
                _release(self.model.device)
        return hooked

    def _fits(self, ids: AnyArray, rows: slice, hooked: HookValues, last: bool) -> bool:
        """Send some rows through the model; return False if memory ran out."""
        start, device = time.perf_counter(), self.model.device
        try:
            tokens = torch.from_numpy(ids[rows].astype(np.int64)).to(device)
            hooked.add(rows, self.model.run(tokens, self._hooks))
        except (RuntimeError, MemoryError) as error:
            if last or not out_of_memory(error):
                raise
            return False
        self.timings.forward += _since(start, device)
        self.timings.forward_rows += rows.stop - rows.start
        return True

    def _joined(self, found: Sequence[NonZeros], valid: Bool) -> Activations:
        row_of, position_of = (axis.astype(np.int32) for axis in np.nonzero(valid))
        total = sum(len(part.token) for part in found)
        component = np.empty(total, np.int64)
        row, position = np.empty(total, np.int32), np.empty(total, np.int32)
        at = 0
        for first, part in zip(self.plan.component_first.tolist(), found, strict=False):
            to = slice(at, at + len(part.token))
            place(
                part.count, part.token, row_of, position_of, first,
                component[to], row[to], position[to],
            )  # fmt: skip
            at = to.stop
        value = np.concatenate([np.zeros(0, np.float32), *(part.value for part in found)])
        return Activations(component, row, position, value)


def _collect(
    plan: Plan, number: int, source: LoadedSource, device: torch.device, buffer: Buffer | None
) -> Collect:
    """Return how the non-zeros of a source are found; ``buffer`` is for those on the CPU."""
    kept = np.ones(source.components, np.bool_)
    kept[list(plan.run.sources[number].dropped)] = False
    hook, encoder, model = source.hook, source.encoder, plan.run.model
    onednn = model.forward == "transformers-onednn" and buffer is not None
    if isinstance(encoder, TopKEncoder) and buffer is not None:
        # In float32 whatever the model's dtype: see ``saes`` about 8 bits.
        top_k = TopK(source.name, encoder.by_onednn() if onednn else encoder, kept, buffer)
        return lambda hooked, timings: top_k.collect(hooked.tokens[hook], timings)
    if encoder is None or isinstance(encoder, TopKEncoder):
        rows = source.whole_rows
        size = model.micro_batch * (1 if rows else plan.run.context)
        dense = Dense(source.name, source.values, kept, size)
        if rows:
            return lambda hooked, timings: dense.collect(hooked.rows[hook], timings, hooked.valid)
        return lambda hooked, timings: dense.collect(hooked.tokens[hook], timings)
    if source.kind == "dictionary" and model.dtype == NARROW == pick_dtype("auto", device):
        encoder = encoder.in_bfloat16()
    if onednn:
        encoder = encoder.by_onednn()
    of_source = (
        OnDevice(source.name, encoder, kept, device)
        if buffer is None
        else Chunks(source.name, encoder, kept, buffer)
    )
    return lambda hooked, timings: of_source.collect(hooked.tokens[hook], timings)


def _since(start: float, device: torch.device) -> float:
    """Return the seconds since ``start``, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _release(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
