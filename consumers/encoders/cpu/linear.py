"""Linear forms on a processor: some hundred components at a time, read by compiled loops."""

import math
import time

import numpy as np
import torch
from torch import Tensor

from consumers.encoders.buffer import Buffer, parts
from consumers.encoders.cpu.scanning import NonZeroBuffer, append_fired, append_non_zeros
from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import LinearForm
from consumers.encoders.nonzeros import NonZeros
from consumers.encoders.rules import Rule
from consumers.encoders.timings import Timings
from streams.arrays import F32, I32, AnyArray, Bool
from streams.errors import NotFiniteError

# Float32 and bfloat16 end at 3.4e38; the difference is for roundings.
_SAFE = 1e38


class CpuLinear:
    """Computes the components of one source and keeps what is not 0.

    Each number is written once, by the product, and read once, by the loop that looks for what
    fires. The chunk follows from the number of tokens. If memory runs out it is halved; what adds
    up in a product does not depend on it (the BLAS sums over the width in one order, whatever the
    other sizes: a test holds it to that).
    """

    def __init__(self, name: str, form: LinearForm, kept: Bool, buffer: Buffer) -> None:
        self.name = name
        self.form = form
        self.components = len(kept)
        self.kept = kept
        self.buffer = buffer
        self._store = NonZeroBuffer()
        self._rule = None if form.rule is None else _Fired(form.rule)
        self._norm = _largest_norm(form.weight)

    def collect(self, hooked: Tensor, timings: Timings, valid: Tensor | None = None) -> NonZeros:
        """Return the non-zeros of hook values [token, width].

        Raises NotFiniteError if a component is NaN or infinite, and the error of the allocation if
        not even the smallest chunk fits into memory.
        """
        start = time.perf_counter()
        tokens = len(hooked)
        prepared = self.form.prepare(hooked)
        careful = self._rule is not None and not self._finite(prepared, self._rule)
        room, _ = self.buffer.chunk(tokens, self.components, self.form.dtype, timings)
        count = np.zeros(self.components, np.int64)
        self._store.used = 0
        products = self.form.products(prepared)
        timings.encode += time.perf_counter() - start
        for first, stop in parts(self.components, len(room)):
            start = time.perf_counter()
            out = products(first, stop, room[: stop - first])
            middle = time.perf_counter()
            if careful:
                self._check(out[:, :tokens], first, stop)
            self._keep(out, tokens, first, stop, count[first:stop])
            timings.encode += middle - start
            timings.select += time.perf_counter() - middle
        used = self._store.used
        return NonZeros(count, self._store.token[:used], self._finite_values(used))

    def _keep(self, out: Tensor, tokens: int, first: int, stop: int, count: AnyArray) -> None:
        store, kept = self._store, self.kept[first:stop]
        store.reserve((stop - first) * tokens)
        if self._rule is None:
            bits = out.view(torch.int32).numpy()
            store.used = append_non_zeros(
                bits, tokens, kept, store.token, store.value, count, store.used
            )
            return
        narrow = out.dtype == torch.bfloat16
        bits = out.view(torch.int16 if narrow else torch.int32).numpy()
        least, scale, shift = self._rule.part(first, stop)
        store.used = append_fired(
            bits, 16 if narrow else 0, tokens, least, scale, shift, kept,
            store.token, store.value, count, store.used,
        )  # fmt: skip

    def _finite(self, prepared: Tensor, rule: "_Fired") -> bool:
        """Return whether no product or value can be NaN or infinite.

        By the Cauchy-Schwarz inequality no partial sum of a product exceeds the product of the
        norms, so that nobody needs to look at each product. False also for weights that are not
        finite themselves.
        """
        if not prepared.numel():
            return True
        most = max(map(abs, torch.stack(prepared.aminmax()).tolist()))
        reach = most * math.sqrt(prepared.shape[1]) * self._norm
        return bool(reach * rule.scale_most + rule.shift_most < _SAFE)

    def _check(self, product: Tensor, first: int, stop: int) -> None:
        """Raise NotFiniteError for NaN, which the search for what fires can pass over."""
        assert self.form.rule is not None
        value = self.form.rule.part(first, stop).unruled(product.float())
        # Minus infinity is no activity, as in SAELens.
        wrong = ~(value < math.inf)[torch.from_numpy(self.kept[first:stop])]
        if wrong.any().item():
            raise NotFiniteError(f"source {self.name}")

    def _finite_values(self, used: int) -> F32:
        value = self._store.value[:used]
        if not np.isfinite(value).all():
            raise NotFiniteError(f"source {self.name}")
        return value


class _Fired:
    """A rule as the compiled loop wants it."""

    def __init__(self, rule: Rule) -> None:
        self.least: I32 = rule.least().numpy()
        self.scale: F32 = rule.scale.numpy()
        self.shift: F32 = rule.shift.numpy()
        self.scale_most = max(1.0, float(rule.scale.max()))
        self.shift_most = max(float(rule.shift.abs().max()), float(rule.gate.abs().max()))

    def part(self, first: int, stop: int) -> tuple[I32, F32, F32]:
        return self.least[first:stop], self.scale[first:stop], self.shift[first:stop]


def _largest_norm(weight: Tensor | None) -> float:
    """Return the largest Euclidean norm of a component's weights; 1 for the values themselves."""
    if weight is None:
        return 1.0
    return float(torch.linalg.vector_norm(weight, dim=1, dtype=torch.float64).max())


KIND = EncoderKind(
    LinearForm, "cpu", lambda job, form: CpuLinear(job.source, form, job.kept, job.buffer)
)
