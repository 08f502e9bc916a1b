"""Hook values measured: exact sums of rounded values and of the products of pairs of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from consumers.activations.measurements.measurement import ComputedBatch
from consumers.models.language_model import LanguageModel
from consumers.models.model import Model
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from consumers.statistics.hook_values import LIMB, NAME, entries_of, widths
from consumers.statistics.measured import chosen_rows
from streams.arrays import F64, I64
from streams.records.measures import parameter

_HALF = 15
_LARGEST = 2.0 ** (2 * _HALF)
# The halves of so many tokens' values have sums of products below 2**53: exact in float64.
_AT_ONCE = 2**20


class HookValuesKind:
    """See the module."""

    statistic = NAME

    def parameters(
        self, model: LanguageModel, sources: Sequence[LoadedSource], context: int
    ) -> Mapping[str, Any]:
        """Return how many values the hook of each source has."""
        del model, context
        return {"widths": [source.width for source in sources]}

    def of_run(
        self, plan: Plan, model: Model, sources: Sequence[LoadedSource]
    ) -> "HookValuesOfRun":
        """Return what measures a run."""
        del model, sources
        return HookValuesOfRun(plan)


class HookValuesOfRun:
    """Sums up the rows of a run that its record's ``one_in`` chooses."""

    def __init__(self, plan: Plan) -> None:
        chosen = plan.run.statistics
        self._one_in = int(parameter(chosen, NAME, "one_in"))
        self._bits = int(parameter(chosen, NAME, "bits"))
        self._widths = widths(plan.run)

    def measure(self, given: ComputedBatch) -> I64:
        """Return what the chosen rows of a batch add; see ``statistics.hook_values.entries_of``."""
        chosen = chosen_rows(given.batch.keys, self._one_in)
        which = torch.from_numpy(np.flatnonzero(np.repeat(chosen, given.valid.sum(axis=1))))
        parts = [np.zeros(0, np.int64)]
        for hook, width in self._widths.items():
            total, values = np.zeros(entries_of(width), np.int64), given.hooked.tokens[hook]
            for some in torch.split(which, _AT_ONCE):
                part = values[some.to(values.device)].cpu().double().numpy()
                total += self._entries(part)
            parts.append(total)
        return np.concatenate(parts)

    def _entries(self, values: F64) -> I64:
        """Return the numbers of some tokens' values [token, width]."""
        fixed = np.rint(values * 2.0**self._bits)
        fits = (np.abs(fixed) < _LARGEST).all(axis=1)  # not where NaN
        left_out, fixed = int(np.count_nonzero(~fits)), fixed[fits]
        sums = fixed.sum(axis=0)  # exact: below 2**50
        high, low = _products(fixed)
        first = np.r_[len(fixed), left_out, np.maximum(sums, 0), np.maximum(-sums, 0)]
        return np.concatenate(
            [first.astype(np.int64), np.maximum(high, 0), np.maximum(-high, 0), low]
        )


def _products(fixed: F64) -> tuple[I64, I64]:
    """Return the limbs, high (signed) and low, of sums of products of pairs i >= j, row by row."""
    upper = np.floor(fixed / 2**_HALF)
    lower = fixed - upper * 2**_HALF
    across = upper.T @ lower
    pairs = np.tril_indices(fixed.shape[1])
    top, middle, bottom = (
        part[pairs].astype(np.int64)
        for part in (upper.T @ upper, across + across.T, lower.T @ lower)
    )
    # The sum is top * 2**30 + middle * 2**15 + bottom.
    mask = (1 << LIMB) - 1
    keep = LIMB - 2 * _HALF, LIMB - _HALF
    low = (top & ((1 << keep[0]) - 1)) << (2 * _HALF)
    low += (middle & ((1 << keep[1]) - 1)) << _HALF
    low += bottom & mask
    high = (top >> keep[0]) + (middle >> keep[1]) + (bottom >> LIMB) + (low >> LIMB)
    return high, low & mask
