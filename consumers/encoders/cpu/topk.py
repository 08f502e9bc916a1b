"""TopK dictionaries on a processor: the k largest of each token, chunk after chunk."""

import time

import numpy as np
import torch
from torch import Tensor

from consumers.encoders.buffer import Buffer, parts
from consumers.encoders.cpu.token_topk import count_strongest, keep_strongest, sort_strongest
from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import TopKForm
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.timings import Timings
from streams.arrays import F32, I64, Bool
from streams.errors import NotFiniteError

# What a token can hold beyond its k largest, at least: the more, the less often it is cut down, and
# the later its bound rises. For k = 64, 64 and 48 took the least of those tried from 16 to 192.
_SLACK = 32


class CpuTopK:
    """Computes some hundred components at a time and keeps the k largest of each token.

    Products lie in a buffer, component by token, and are read once: 64 tokens are compared with
    what each must exceed by now. No array of all tokens by all components exists. If memory runs
    out the chunk is halved; what is kept does not depend on it.
    """

    def __init__(self, name: str, form: TopKForm, kept: Bool, buffer: Buffer) -> None:
        self.name = name
        self.form = form
        self.components = len(kept)
        self.kept = kept
        self.buffer = buffer
        self._shift: F32 = form.shift.numpy()
        self._scale: F32 = form.scale.numpy()
        slack = max(form.k, _SLACK)
        self._held = min(form.k + slack, self.components)

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a component is NaN or infinite, and the error of the allocation if
        not even the smallest chunk fits into memory.
        """
        start = time.perf_counter()
        tokens, k, kept = len(hooked), self.form.k, self.kept
        prepared = self.form.linear.prepare(hooked)
        room, beside = self.buffer.chunk(
            tokens, self.components, torch.float32, timings, 2 * tokens * self._held
        )
        keys: I64 = beside.view(torch.int64).numpy().reshape(tokens, self._held)
        used, least = np.zeros(tokens, np.int32), np.zeros(tokens, np.float32)
        multiply = self.form.linear.products(prepared)
        timings.encode += time.perf_counter() - start
        for first, stop in parts(self.components, len(room)):
            start = time.perf_counter()
            out = multiply(first, stop, room[: stop - first])
            middle = time.perf_counter()
            finite = keep_strongest(
                out.numpy(), tokens, first, self._shift[first:stop], self._scale[first:stop],
                kept[first:stop], k, keys, used, least,
            )  # fmt: skip
            if not finite:
                raise NotFiniteError(f"source {self.name}")
            timings.encode += middle - start
            timings.select += time.perf_counter() - middle
        start = time.perf_counter()
        count = np.zeros(self.components, np.int64)
        count_strongest(keys, used, kept, k, count)
        entries = int(count.sum())
        result = NonZeros(count, np.empty(entries, np.int32), np.empty(entries, np.float32))
        sort_strongest(keys, used, kept, np.cumsum(count) - count, result.token, result.value)
        timings.select += time.perf_counter() - start
        return result


KIND = EncoderKind(
    TopKForm, "cpu", lambda job, form: CpuTopK(job.source, form, job.kept, job.buffer)
)
