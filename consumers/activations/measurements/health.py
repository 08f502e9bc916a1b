"""Health measured on a device: errors of reconstructions, and losses with them in the hook's place.

A row is computed alone, so that its numbers do not depend on the batch it is in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from consumers.activations.measurements.measurement import ComputedBatch
from consumers.models.hook_names import hook_named
from consumers.models.language_model import LanguageModel
from consumers.models.model import Intervention, Model
from consumers.plan import Plan
from consumers.sources.source import LoadedSource
from consumers.statistics.health import BITS, FIXED, LIMB, NAME, entries, entries_of, one_in, widths
from consumers.statistics.measured import chosen_rows
from streams.arrays import F64, I64, Bool
from streams.errors import ModelError, RunError

_LARGEST = 2.0 ** (62 - BITS)


class HealthKind:
    """See the module."""

    statistic = NAME

    def parameters(
        self, model: LanguageModel, sources: Sequence[LoadedSource], context: int
    ) -> Mapping[str, Any]:
        """Return the widths of what sources rebuild, and the L0 that they were published with.

        Raises RunError where the model gives no logits that could be trusted.
        """
        hooks = _hooks(sources, model)
        ids = torch.arange(1, 1 + min(context, 4), device=model.device)[None] % model.vocabulary
        seen: dict[str, Tensor] = {}
        try:
            with torch.inference_mode():
                model.logits(ids, _recorded(hooks, seen))
                found = [
                    _rebuilt_width(source, _written(source, model), seen) for source in sources
                ]
        except ModelError as error:
            raise RunError(f"statistic health needs logits: {error}") from error
        return {
            "widths": found,
            "published": [float(source.training.sparsity or 0) for source in sources],
        }

    def of_run(self, plan: Plan, model: Model, sources: Sequence[LoadedSource]) -> "HealthOfRun":
        """Return what measures a run."""
        return HealthOfRun(plan, model, sources)


class HealthOfRun:
    """Measures the rows of a run that its record's ``one_in`` chooses."""

    def __init__(self, plan: Plan, model: Model, sources: Sequence[LoadedSource]) -> None:
        self._one_in, self._entries = one_in(plan.run), entries(plan.run)
        self._widths, self._model, self._sources = widths(plan.run), model, sources

    def measure(self, given: ComputedBatch) -> I64:
        """Return what the chosen rows of a batch add; see ``statistics.health.entries_of``."""
        batch, valid = given.batch, given.valid
        total = np.zeros(self._entries, np.int64)
        chosen = chosen_rows(batch.keys, self._one_in) & valid.any(axis=1)
        for row in np.flatnonzero(chosen):
            total += self._row(batch.ids[row].astype(np.int64), valid[row])
        return total

    def _row(self, ids: I64, valid: Bool) -> I64:
        device = self._model.device
        tokens = torch.from_numpy(ids).to(device)
        at = torch.from_numpy(np.flatnonzero(valid)).to(device)
        asked = torch.from_numpy(np.flatnonzero(valid[:-1] & valid[1:])).to(device)
        hooks = _hooks(self._sources, self._model)
        seen: dict[str, Tensor] = {}

        def losses(interventions: Sequence[Intervention]) -> F64:
            logits = self._model.logits(tokens[None], interventions)[0, asked].float()
            found = torch.nn.functional.cross_entropy(logits, tokens[asked + 1], reduction="none")
            return _on_host(found)

        own = losses(_recorded(hooks, seen))
        parts = [np.ones(1, np.int64)]
        for source, width in zip(self._sources, self._widths, strict=True):
            if not width:
                parts.append(np.zeros(entries_of(0), np.int64))
                continue
            hook = _written(source, self._model)
            assert hook is not None, "it had a width when the run was created"
            given = seen[source.hook].flatten(2)[0, at]
            rebuilt = _rebuilt(source, given)
            with_it = [
                losses([_in_place(hook, at, to)]) for to in (rebuilt, torch.zeros_like(rebuilt))
            ]
            target = seen[hook].flatten(2)[0, at]
            parts.append(_entries(_on_host(target), _on_host(rebuilt), own, *with_it))
        return np.concatenate(parts)


def _written(source: LoadedSource, model: Model) -> str | None:
    """Return the hook that a source's reconstruction is for, None if it rebuilds nothing."""
    if source.rebuild is None:
        return None
    if (writes := source.training.writes) is None:
        return source.hook
    return hook_named(writes, model) if isinstance(model, LanguageModel) else writes


def _hooks(sources: Sequence[LoadedSource], model: Model) -> set[str]:
    """Return the hooks that sources read and those that they rebuild."""
    written = (_written(source, model) for source in sources)
    return {hook for hook in (*(s.hook for s in sources), *written) if hook is not None}


def _rebuilt(source: LoadedSource, given: Tensor) -> Tensor:
    """Return [token, width] of hook values [token, width]."""
    assert source.rebuild is not None
    return source.rebuild(given, source.encode(given))


def _rebuilt_width(source: LoadedSource, hook: str | None, seen: Mapping[str, Tensor]) -> int:
    """Return how wide a reconstruction is, 0 where there is none that fits its hook."""
    if hook is None:
        return 0
    width = _rebuilt(source, seen[source.hook].flatten(2)[0]).shape[-1]
    return width if width == seen[hook].flatten(2).shape[-1] else 0


def _recorded(hooks: set[str], seen: dict[str, Tensor]) -> list[Intervention]:
    """Return interventions that change nothing and keep what each hook holds in ``seen``."""

    def keep(hook: str) -> Intervention:
        def change(values: Tensor) -> Tensor:
            seen[hook] = values.clone()
            return values

        return Intervention(hook, change)

    return [keep(hook) for hook in sorted(hooks)]


def _in_place(hook: str, at: Tensor, to: Tensor) -> Intervention:
    """Return what puts [token, width] at some positions of a single row."""

    def change(values: Tensor) -> Tensor:
        changed = values.clone()
        changed[0, at] = to.to(values).view(len(at), *values.shape[2:])
        return changed

    return Intervention(hook, change)


def _on_host(values: Tensor) -> F64:
    found: F64 = values.float().cpu().numpy().astype(np.float64)
    return found


def _entries(target: F64, rebuilt: F64, own: F64, spliced: F64, ablated: F64) -> I64:
    """Return a source's numbers of one row.

    target, rebuilt: [token, width]. The losses: [prediction]. Left out are predictions whose losses
    are not finite, and tokens with squares that are not, or do not fit into 64 bits.
    """
    width = target.shape[1]
    error, square = ((target - rebuilt) ** 2).sum(axis=1), (target**2).sum(axis=1)
    whole = (error < _LARGEST) & (square < _LARGEST)  # not where NaN
    values, errors, squares = _fixed(target[whole]), _fixed(error[whole]), _fixed(square[whole])
    losses = np.stack([own, spliced, ablated])
    losses = losses[:, np.isfinite(losses).all(axis=0)]
    out = np.zeros(entries_of(width), np.int64)
    out[:FIXED] = [
        len(values),
        *_limbs(errors),
        *_limbs(squares),
        losses.shape[1],
        *_fixed(losses).sum(axis=1),
    ]
    out[FIXED : FIXED + width] = np.maximum(values, 0).sum(axis=0)
    out[FIXED + width :] = np.maximum(-values, 0).sum(axis=0)
    return out


def _fixed(values: F64) -> I64:
    found: I64 = np.rint(values * 2.0**BITS).astype(np.int64)
    return found


def _limbs(values: I64) -> tuple[int, int]:
    return int((values & (2**LIMB - 1)).sum()), int((values >> LIMB).sum())
