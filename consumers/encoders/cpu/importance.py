"""Causal importances on a processor: some components at a time, read by compiled loops."""

import time

import numpy as np
import torch
from torch import Tensor

from consumers.encoders.cpu.scanning import NonZeroBuffer, append_non_zeros
from consumers.encoders.encoder import EncoderKind
from consumers.encoders.halving import in_chunks
from consumers.encoders.importance_form import ImportanceForm
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from streams.arrays import Bool
from streams.errors import NotFiniteError


class CpuImportance:
    """Computes the gates of one source and keeps what is not 0.

    The chunk follows from the number of tokens, so that the same batch gives the same bits; if
    memory runs out it is halved, which can move the last ones.
    """

    def __init__(self, name: str, form: ImportanceForm, kept: Bool) -> None:
        self.name, self.form, self.kept = name, form, kept
        self._store = NonZeroBuffer()

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a gate is NaN or infinite, and the error of the allocation if not
        even one component fits into memory.
        """
        start = time.perf_counter()
        prepared = self.form.gates.prepare(hooked)
        count, store, first = np.zeros(len(self.kept), np.int64), self._store, 0
        store.used = 0

        def part(first: int, stop: int) -> Tensor:
            return self.form.part(prepared, first, stop).contiguous()

        size = self.form.size(len(hooked))
        for values in in_chunks(part, len(count), size, timings):
            middle = time.perf_counter()
            stop = first + len(values)
            store.reserve(values.numel())
            bits, kept = values.view(torch.int32).numpy(), self.kept[first:stop]
            store.used = append_non_zeros(
                bits, len(hooked), kept, store.token, store.value, count[first:stop], store.used
            )
            timings.encode += middle - start
            start, first = time.perf_counter(), stop
            timings.select += start - middle
        value = store.value[: store.used]
        if not np.isfinite(value).all():
            raise NotFiniteError(f"source {self.name}")
        return NonZeros(count, store.token[: store.used], value)


KIND = EncoderKind(
    ImportanceForm, "cpu", lambda job, form: CpuImportance(job.source, form, job.kept)
)
