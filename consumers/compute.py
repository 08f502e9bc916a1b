"""The engine on torch: one forward of the model per micro-batch, all sources, non-zeros out."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.engine import Activations
from consumers.models import LanguageModel
from consumers.nonzeros import check_finite, non_zeros, out_of_memory, stable_order
from consumers.sources import LoadedSource
from streams.arrays import F32, I32, AnyArray, Bool
from streams.corpus import TokenBatch
from streams.plan import Plan


@dataclass(slots=True)
class Timings:
    """Seconds spent so far in each stage, and what was done in them."""

    forward: float = 0.0
    encode: float = 0.0
    select: float = 0.0
    tokens: int = 0
    batches: int = 0
    splits: int = 0


@dataclass(slots=True)
class _Found:
    """Non-zeros of one source, micro-batch after micro-batch, sorted by row and position."""

    component: list[I32] = field(default_factory=list)
    row: list[I32] = field(default_factory=list)
    position: list[I32] = field(default_factory=list)
    value: list[F32] = field(default_factory=list)


class TorchEngine:
    """Computes batches; the same batch gives the same bits on the same machine and device.

    Rows are taken in order, ``run.model.micro_batch`` at a time. If the device runs out of memory
    the rest of that batch goes on in halves, down to single rows, which can move the last bits.
    """

    def __init__(self, plan: Plan, model: LanguageModel, sources: Sequence[LoadedSource]) -> None:
        self.plan = plan
        self.model = model
        self.sources = tuple(sources)
        self.timings = Timings()
        self._hooks = sorted({source.hook for source in sources})
        self._kept = [_kept(plan, number, model.device) for number in range(len(sources))]
        # Hooks sit on the model itself, so that only one thread may run it.
        self._one_at_a_time = threading.Lock()
        torch.set_float32_matmul_precision("highest")

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the activations where ``valid`` [row, position] holds.

        Raises NotFiniteError if a hook or a component is NaN or infinite at a valid token, and the
        device's own error if not even a single row fits its memory. Workers of one process may
        share an engine: each waits until it is free.
        """
        with self._one_at_a_time:
            return self._compute(batch, valid)

    def _compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        if torch.get_num_threads() != self.plan.run.model.threads:
            torch.set_num_threads(self.plan.run.model.threads)  # counts per calling thread
        found = [_Found() for _ in self.sources]
        size, first, rows = self.plan.run.model.micro_batch, 0, len(valid)
        while first < rows:
            size = min(size, rows - first)
            if self._fits(batch.ids, valid, slice(first, first + size), found, last=size == 1):
                first += size
            else:
                size //= 2
                self.timings.splits += 1
                _release(self.model.device)
        self.timings.batches += 1
        self.timings.tokens += int(valid.sum())
        return self._sorted(found)

    def _fits(
        self, ids: AnyArray, valid: Bool, rows: slice, found: list[_Found], last: bool
    ) -> bool:
        """Compute some rows into ``found``; return False, and leave it alone, if memory ran out."""
        try:
            parts = self._micro_batch(ids[rows], valid[rows])
        except (RuntimeError, MemoryError) as error:
            if last or not out_of_memory(error):
                raise
            return False
        for into, (component, row, position, value) in zip(found, parts, strict=True):
            into.component.append(component)
            into.row.append(row + np.int32(rows.start))
            into.position.append(position)
            into.value.append(value)
        return True

    def _micro_batch(self, ids: AnyArray, valid: Bool) -> list[tuple[I32, I32, I32, F32]]:
        """Return component (of its source), row, position and value of each source's non-zeros."""
        if not valid.any():
            none = np.zeros(0, np.int32)
            return [(none, none, none, none.astype(np.float32)) for _ in self.sources]
        row, position = (axis.astype(np.int32) for axis in np.nonzero(valid))
        device = self.model.device
        with torch.inference_mode():
            mask = torch.from_numpy(np.ascontiguousarray(valid)).to(device)
            start = time.perf_counter()
            hooked = self.model.run(torch.from_numpy(ids.astype(np.int64)).to(device), self._hooks)
            for name, tensor in hooked.items():
                check_finite(tensor[mask], name)
            self.timings.forward += _since(start, device)
            parts = []
            for source, kept in zip(self.sources, self._kept, strict=True):
                start = time.perf_counter()
                values = source.values(hooked[source.hook], mask)
                self.timings.encode += _since(start, device)
                start = time.perf_counter()
                token, component, value = non_zeros(values, kept, source)
                parts.append((component, row[token], position[token], value))
                self.timings.select += time.perf_counter() - start
        return parts

    def _sorted(self, found: list[_Found]) -> Activations:
        start = time.perf_counter()
        columns: list[tuple[AnyArray, ...]] = []
        for first, part in zip(self.plan.component_first, found, strict=False):
            component = np.concatenate(part.component)
            order = stable_order(component)
            columns.append(
                (
                    component[order].astype(np.int64) + first,
                    np.concatenate(part.row)[order],
                    np.concatenate(part.position)[order],
                    np.concatenate(part.value)[order],
                )
            )
        joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
        self.timings.select += time.perf_counter() - start
        return Activations(*joined)


def _kept(plan: Plan, number: int, device: torch.device) -> Tensor | None:
    source = plan.run.sources[number]
    if not source.dropped:
        return None
    kept = torch.ones(source.components, dtype=torch.bool)
    kept[list(source.dropped)] = False
    return kept.to(device)


def _since(start: float, device: torch.device) -> float:
    """Return the seconds since ``start``, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _release(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
