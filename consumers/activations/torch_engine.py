"""The engine on torch: forwards of the model by micro-batch, then all sources, non-zeros out."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from consumers.activations.device_activations import DeviceActivations, joined
from consumers.activations.device_operations import lacks
from consumers.activations.engine import Activations
from consumers.activations.laps import Laps
from consumers.activations.measurements.measurement import ComputedBatch
from consumers.activations.measurements.registry import measurements_of
from consumers.device_transfer import send
from consumers.encoders.buffer import Buffer
from consumers.encoders.encoder import Device, Encoder, EncoderJob
from consumers.encoders.forms import Form, Numerics
from consumers.encoders.gpu.device_nonzeros import DeviceEncoder, DeviceNonZeros
from consumers.encoders.nonzeros import NonZeros, place
from consumers.encoders.registry import find_encoder
from consumers.encoders.timings import Timings
from consumers.models.dtypes import NARROW, pick_dtype
from consumers.models.hook_values import HookValues
from consumers.models.model import Model
from consumers.models.out_of_memory import out_of_memory
from consumers.models.tf32 import set_tf32
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from consumers.statistics.measured import Measured
from streams.arrays import AnyArray, Bool
from streams.records.corpus import TokenBatch


class TorchEngine:
    """Computes batches; the same batch gives the same bits on the same machine and device.

    Rows go through the model in order, ``run.model.micro_batch`` at a time. If the device runs out
    of memory the rest of that batch goes on in halves, down to single rows, which can move the last
    bits. What the hooks gave is then encoded for all tokens of the batch at once, some components
    at a time, so that no dense [token, component] array exists; see ``consumers.encoders``. With
    ``run.model.dtype`` bfloat16 dictionaries are multiplied in bfloat16, too, where the processor
    has it; see ``LinearForm.in_bfloat16``.
    """

    def __init__(
        self,
        plan: Plan,
        model: Model,
        sources: Sequence[LoadedSource],
        on_device: bool | None = None,
        select_on_device: bool = True,
    ) -> None:
        """Prepare an engine.

        on_device: encode as on a GPU; None for what the device asks for. select_on_device: let
        workers select there, too, if it encodes so.
        """
        self.plan = plan
        self.model = model
        self.sources = tuple(sources)
        self.timings = Timings()
        self._hooks = sorted({source.hook for source in sources})
        self._row_hooks = sorted({s.hook for s in sources if s.whole_rows})
        if on_device is None:
            on_device = model.device.type != "cpu"
        self.on_device = on_device
        self._select_on_device = on_device and select_on_device
        buffer = Buffer()
        device: Device = "gpu" if on_device else "cpu"
        self._encoders = [
            _encoder(plan, number, source, model.device, device, buffer)
            for number, source in enumerate(sources)
        ]
        self._measurements = measurements_of(plan, model, sources)
        # Hooks sit on the model itself, so that only one thread may run it.
        self._one_at_a_time = threading.Lock()

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the activations where ``valid`` [row, position] holds.

        Raises NotFiniteError if a hook or a component is NaN or infinite at a valid token, and the
        device's own error if not even a single row fits its memory. Workers of one process may
        share an engine: each waits until it is free.
        """
        with self._one_at_a_time, torch.inference_mode():
            return self._compute(batch, valid)

    @property
    def selects_on_device(self) -> bool:
        """Whether ``compute_on_device`` is what a worker should call."""
        return self._select_on_device and not lacks(self.model.device)

    def compute_on_device(self, batch: TokenBatch, valid: Bool) -> DeviceActivations:
        """Return the same as ``compute``, left on the device; errors as there.

        Raises TypeError if a source has an encoder that leaves nothing there, as those of the CPU.
        """
        with self._one_at_a_time, torch.inference_mode():
            self._set_up_thread()
            parts, hooked = list[tuple[str, DeviceNonZeros]](), None
            laps = Laps(self.model.device)
            if valid.any():
                hooked = self._forward(batch.ids, valid)
                laps.mark()
                for each in zip(self.sources, self._encoders, strict=True):
                    parts += [(each[0].name, part) for part in self._chunks(*each, hooked)]
                laps.mark()
            found = joined(parts, self.plan.components, valid, self.model.device)
            self._count(valid, *laps.seconds())
            return replace(found, measured=self._measured(batch, valid, hooked, found.to_host))

    def _compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        self._set_up_thread()
        found, hooked = list[NonZeros](), None
        laps = Laps(self.model.device)
        if valid.any():
            hooked = self._forward(batch.ids, valid)
            laps.mark()
            found = [
                self._encode(*each, hooked)
                for each in zip(self.sources, self._encoders, strict=True)
            ]
        self._count(valid, *laps.seconds())  # encoders have counted their own seconds
        start = time.perf_counter()
        activations = self._joined(found, valid)
        self.timings.select += time.perf_counter() - start
        measured = self._measured(batch, valid, hooked, lambda: activations)
        return replace(activations, measured=measured)

    def _measured(
        self,
        batch: TokenBatch,
        valid: Bool,
        hooked: HookValues | None,
        activations: Callable[[], Activations],
    ) -> Measured:
        """Return what is measured beside, once it is known that the batch is not refused."""
        if hooked is None:
            return {}
        aside = Timings()  # what a run without it takes is what the engine's own say

        def encode(source: int, values: Tensor) -> NonZeros:
            return self._encoders[source].collect(values, aside)

        given = ComputedBatch(batch, valid, hooked, cache(activations), encode)
        return {name: each.measure(given) for name, each in self._measurements.items()}

    def _count(self, valid: Bool, forward: float = 0.0, encode: float = 0.0) -> None:
        self.timings.batches += 1
        self.timings.tokens += int(valid.sum())
        self.timings.forward += forward
        self.timings.encode += encode

    def _set_up_thread(self) -> None:
        """Set what torch keeps by thread or process and the record decides."""
        set_tf32(self.plan.run.model.tf32)
        if self.model.device.type == "cuda":
            torch.cuda.set_device(self.model.device)  # pinned memory belongs to the current one
        if torch.get_num_threads() != self.plan.run.model.threads:
            torch.set_num_threads(self.plan.run.model.threads)  # counts per calling thread

    def _chunks(
        self, source: LoadedSource, encoder: Encoder, hooked: HookValues
    ) -> Iterator[DeviceNonZeros]:
        if not isinstance(encoder, DeviceEncoder):
            raise TypeError(f"{type(encoder).__name__} leaves nothing on the device")
        if source.whole_rows:
            return encoder.chunks(hooked.rows[source.hook], self.timings, hooked.valid)
        return encoder.chunks(hooked.tokens[source.hook], self.timings)

    def _encode(self, source: LoadedSource, encoder: Encoder, hooked: HookValues) -> NonZeros:
        if source.whole_rows:
            return encoder.collect(hooked.rows[source.hook], self.timings, hooked.valid)
        return encoder.collect(hooked.tokens[source.hook], self.timings)

    def _forward(self, ids: AnyArray, valid: Bool) -> HookValues:
        """Return the values of all hooks, micro-batch by micro-batch."""
        hooked = HookValues(valid, self._row_hooks, self.model.device)
        size, first, rows = self.plan.run.model.micro_batch, 0, len(valid)
        tokens = send(ids.astype(np.int64), self.model.device)
        while first < rows:
            size = min(size, rows - first)
            part = slice(first, first + size)
            if not valid[part].any() or self._fits(tokens, part, hooked, last=size == 1):
                first += size
            else:
                size //= 2
                self.timings.splits += 1
                _release(self.model.device)
        hooked.expect_finite()
        return hooked

    def _fits(self, tokens: Tensor, rows: slice, hooked: HookValues, last: bool) -> bool:
        """Send some rows through the model; return False if memory ran out."""
        try:
            hooked.add(rows, self.model.run(tokens[rows], self._hooks))
        except (RuntimeError, MemoryError) as error:
            if last or not out_of_memory(error):
                raise
            return False
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


def _encoder(
    plan: Plan,
    number: int,
    source: LoadedSource,
    place: torch.device,
    device: Device,
    buffer: Buffer,
) -> Encoder:
    """Return what finds the non-zeros of a source; its own function for a form without one."""
    kept = np.ones(source.components, np.bool_)
    kept[list(plan.run.sources[number].dropped)] = False
    model = plan.run.model
    numerics = Numerics(
        narrow=model.dtype == NARROW == pick_dtype("auto", place),
        onednn=model.forward == "transformers-onednn" and device == "cpu",
    )
    form: Form = source.dense if source.form is None else source.form.under(numerics)
    if (kind := find_encoder(form, device)) is None:
        form, kind = source.dense, find_encoder(source.dense, device)
    assert kind is not None, "each device encodes dense forms"
    rows = model.micro_batch
    at_once = rows if source.whole_rows else rows * plan.run.context
    return kind.encoder(EncoderJob(source.name, form, kept, place, at_once, buffer))


def _release(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
