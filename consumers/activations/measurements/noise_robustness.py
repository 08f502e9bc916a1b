"""Noise robustness measured: hook values with noise are encoded again and compared."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from consumers.activations.engine import Activations
from consumers.activations.measurements.measurement import ComputedBatch
from consumers.activations.measurements.normal_draws import draw
from consumers.compiled import compiled
from consumers.encoders.nonzeros import NonZeros
from consumers.models.language_model import LanguageModel
from consumers.models.model import Model
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from consumers.statistics.noise_robustness import (
    JACCARD_BINS,
    JACCARD_BITS,
    NAME,
    sizes_of,
    split,
)
from streams.arrays import F32, I32, I64, AnyArray
from streams.errors import OverflowingSumError, RunError


class NoiseRobustnessKind:
    """See the module."""

    statistic = NAME

    def parameters(
        self, model: LanguageModel, sources: Sequence[LoadedSource], context: int
    ) -> Mapping[str, Any]:
        """Return nothing; raises RunError for a source that reads whole rows."""
        del model, context
        for source in sources:
            if source.whole_rows:
                raise RunError(
                    f"statistic noise_robustness: components of {source.kind} {source.name!r} "
                    "depend on earlier positions of their row, and noise is added to one at a time"
                )
        return {}

    def of_run(
        self, plan: Plan, model: Model, sources: Sequence[LoadedSource]
    ) -> "NoiseRobustnessOfRun":
        """Return what measures a run."""
        del model
        return NoiseRobustnessOfRun(plan, sources)


class NoiseRobustnessOfRun:
    """Encodes each batch once more for each size. Buffers are kept from batch to batch."""

    def __init__(self, plan: Plan, sources: Sequence[LoadedSource]) -> None:
        self._plan, self._sources = plan, tuple(sources)
        self._draws = np.zeros(0, np.float32)
        self._noisy = torch.zeros(0)

    def measure(self, given: ComputedBatch) -> I64:
        """Return what a batch adds; see ``statistics.noise_robustness.split``.

        Raises OverflowingSumError if a change of activation is beyond fixed point.
        """
        found = split(self._plan, None)
        base = _by_token(given.activations(), given.valid, self._plan.components)
        for hook in dict.fromkeys(source.hook for source in self._sources):
            values = given.hooked.tokens[hook]
            draws, scale = self._drawn(given, hook, values)
            noisy = self._buffer(values)
            for number, size in enumerate(sizes_of(self._plan.run)):
                torch.mul(draws, scale * size, out=noisy)
                noisy.add_(values)
                for source, loaded in enumerate(self._sources):
                    if loaded.hook == hook:
                        again = given.encode(source, noisy.to(values.dtype))
                        self._compare(source, number, base, again, len(values), found)
        return np.concatenate([part.reshape(-1) for part in found])

    def _drawn(self, given: ComputedBatch, hook: str, values: Tensor) -> tuple[Tensor, float]:
        """Return a standard normal draw for each value, as whole numbers and their scale."""
        tokens, width = values.shape
        if len(self._draws) < values.numel():
            self._draws = np.zeros(values.numel(), np.float32)
        room = self._draws[: values.numel()].reshape(tokens, width)
        scale = draw(given.batch.keys, given.valid, hook, width, room)
        return torch.from_numpy(room).to(values.device), scale

    def _buffer(self, values: Tensor) -> Tensor:
        if self._noisy.numel() < values.numel() or self._noisy.device != values.device:
            self._noisy = torch.zeros(values.numel(), device=values.device)
        return self._noisy[: values.numel()].view(values.shape)

    def _compare(
        self,
        source: int,
        size: int,
        base: tuple[I64, I32, F32],
        again: NonZeros,
        tokens: int,
        found: tuple[I64, I64],
    ) -> None:
        """Add what one size does to one source."""
        plan, of_features, of_sources = self._plan, *found
        begin, stop = plan.component_first[source : source + 2]
        first, token, value = base
        sets = np.zeros((tokens, 2), np.int32)
        out = of_features[begin:stop, size]
        fits = _changes(
            first[begin : stop + 1], token, value, again.count, again.token, again.value,
            plan.sign[begin:stop], plan.threshold[begin:stop], 2.0**plan.run.sum_bits, out, sets,
        )  # fmt: skip
        if not fits:
            raise OverflowingSumError(
                f"noise changes an activation of source {plan.run.sources[source].name} by too "
                f"much for units of 2**-{plan.run.sum_bits}: start a new run with fewer sum_bits"
            )
        _sets(sets, of_sources[source, size])


def _by_token(found: Activations, valid: AnyArray, components: int) -> tuple[I64, I32, F32]:
    """Return where each component begins, and token (counted through valid ones) and value."""
    number = np.cumsum(valid.reshape(-1)) - 1
    token = number[found.row.astype(np.int64) * valid.shape[1] + found.position]
    count = np.bincount(found.component, minlength=components)
    return np.r_[0, np.cumsum(count)], token.astype(np.int32), found.value


@compiled
def _changes(
    first: I64,
    token: I32,
    value: F32,
    count: I64,
    noisy_token: I32,
    noisy_value: F32,
    sign: AnyArray,
    threshold: F32,
    unit: float,
    out: AnyArray,
    sets: AnyArray,
) -> bool:
    """Merge two sorted lists of non-zeros for each component; return whether all changes fit.

    out [component, 3]: what is added to. sets [token, 2]: active in both, and in either.
    """
    start = 0
    for c in range(len(count)):
        at, noisy, stop = first[c], start, start + count[c]
        while at < first[c + 1] or noisy < stop:
            here = token[at] if at < first[c + 1] else np.int32(2**31 - 1)
            there = noisy_token[noisy] if noisy < stop else np.int32(2**31 - 1)
            before, after = np.float64(0), np.float64(0)
            if here <= there:
                before = np.float64(value[at])
                at += 1
            if there <= here:
                after = np.float64(noisy_value[noisy])
                noisy += 1
            before = abs(before) if sign[c] == 0 else before * sign[c]
            after = abs(after) if sign[c] == 0 else after * sign[c]
            was, remains = before > threshold[c], after > threshold[c]
            if not was and not remains:
                continue
            change = np.rint(abs((before if was else 0.0) - (after if remains else 0.0)) * unit)
            if change >= 2.0**62:
                return False
            out[c, 2] += np.int64(change)
            t = min(here, there)
            sets[t, 1] += 1
            if was and remains:
                sets[t, 0] += 1
            elif was:
                out[c, 0] += 1
            else:
                out[c, 1] += 1
        start = stop
    return True


def _sets(sets: I32, out: I64) -> None:
    """Add the Jaccard indices of tokens: their number, their sum and the bins that they lie in.

    sets [token, 2]: features active in both, and in either. Whole numbers only.
    """
    both, either = sets[sets[:, 1] > 0].astype(np.int64).T
    out[0] += len(either)
    out[1] += int((((both << JACCARD_BITS) + either // 2) // np.maximum(either, 1)).sum())
    bins = np.minimum(JACCARD_BINS * both // np.maximum(either, 1), JACCARD_BINS - 1)
    out[2:] += np.bincount(bins, minlength=JACCARD_BINS)
