"""Dense forms on a processor: compiled loops find what is not 0 in the values of each token."""

import numpy as np
import torch
from torch import Tensor

from consumers.encoders.cpu.scanning import NonZeroBuffer, append_non_zeros
from consumers.encoders.dense import DenseEncoder
from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import DenseForm
from consumers.encoders.timings import Timings
from streams.arrays import F32, I32, Bool


class CpuDense(DenseEncoder):
    """A ``DenseEncoder`` with room for non-zeros that is kept from batch to batch."""

    def __init__(self, name: str, form: DenseForm, kept: Bool, size: int) -> None:
        super().__init__(name, form, kept, size, self._found)
        self._store = NonZeroBuffer()

    def _found(self, values: Tensor, timings: Timings) -> tuple[I32, I32, F32]:
        del timings
        tokens, components = values.shape
        numbers = values.float().contiguous().view(torch.int32).numpy()
        count, store = np.zeros(tokens, np.int64), self._store
        store.used = 0
        store.reserve(tokens * components)
        everything = np.ones(tokens, np.bool_)
        used = append_non_zeros(numbers, components, everything, store.token, store.value, count, 0)
        token_of = np.repeat(np.arange(tokens, dtype=np.int32), count)
        return token_of, store.token[:used].copy(), store.value[:used].copy()


KIND = EncoderKind(
    DenseForm, "cpu", lambda job, form: CpuDense(job.source, form, job.kept, job.at_once)
)
