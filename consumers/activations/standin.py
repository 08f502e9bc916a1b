"""A stand-in engine: activations from hashes instead of a model, for tests of everything else."""

import time

import numpy as np

from consumers.activations.engine import Activations
from consumers.plan import Plan
from consumers.statistics.measured import Measured
from consumers.statistics.statistic import MeasuredStatistic
from streams.arrays import F32, I32, I64, U64, AnyArray, Bool
from streams.errors import NotFiniteError
from streams.records.corpus import TokenBatch

_STEPS = 16
_DRAWN = 0.7  # share of measured numbers that are not 0


class StandInEngine:
    """Numpy only. A value depends on nothing but the ids of the row up to the token and on the
    component, so that every worker computes the same bits in any batch.

    density: share of components that fire at a token, about; low component numbers fire more often,
    the highest hardly ever. Values are multiples of 1/4 up to 4, so that ties happen; components of
    signed sources are negative half of the time. seed: another one gives another "model".
    latency: seconds that a batch takes. poison: a token id that makes a batch NaN.
    """

    def __init__(
        self,
        plan: Plan,
        density: float = 0.02,
        seed: int = 0,
        latency: float = 0.0,
        poison: int | None = None,
    ) -> None:
        self.plan = plan
        self.latency = latency
        self.poison = poison
        self._seed = np.uint64(seed)
        self._draws = max(1, round(density * plan.components))
        self._signed = np.repeat(
            [source.sign != "value" for source in plan.run.sources],
            [source.components for source in plan.run.sources],
        )
        self._kept = np.ones(plan.components, dtype=bool)
        for first, source in zip(plan.component_first, plan.run.sources, strict=False):
            self._kept[first + np.asarray(source.dropped, np.int64)] = False

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the activations where ``valid`` [row, position] holds.

        Raises NotFiniteError if a valid token is the poisonous one.
        """
        if self.latency:
            time.sleep(self.latency)
        if self.poison is not None and bool((batch.ids == self.poison)[valid].any()):
            raise NotFiniteError("the stand-in")
        row, position = (axis.astype(np.int32) for axis in np.nonzero(valid))
        context = self._contexts(batch.ids)[valid]
        token, component = self._firing(context)
        value = self._values(context[token], component)
        order = np.lexsort((token, component))
        token, component = token[order], component[order]
        measured = stand_in_measured(self.plan, batch, valid)
        return Activations(component, row[token], position[token], value[order], measured=measured)

    def _contexts(self, ids: AnyArray) -> U64:
        """Return a hash [row, position] of the ids up to each token."""
        hashes = np.zeros(ids.shape, np.uint64)
        state = np.full(len(ids), self._seed, np.uint64)
        for position in range(ids.shape[1]):
            state = _mixed(state + ids[:, position].astype(np.uint64) + np.uint64(1))
            hashes[:, position] = state
        return hashes

    def _firing(self, context: U64) -> tuple[I32, I64]:
        """Return the (token, component) pairs that fire, each once, dropped ones left out."""
        draws = np.arange(1, self._draws + 1, dtype=np.uint64)
        share = _unit(_mixed(context[:, None] + draws * np.uint64(0x9E3779B97F4A7C15)))
        drawn = (share * share * self.plan.components).astype(np.int64)
        token = np.repeat(np.arange(len(context)), self._draws)
        pairs = np.unique(token * self.plan.components + drawn.reshape(-1))
        token, component = np.divmod(pairs, max(1, self.plan.components))
        kept = self._kept[component]
        return token[kept].astype(np.int32), component[kept]

    def _values(self, context: U64, component: I64) -> F32:
        drawn = _mixed(context ^ _mixed(component.astype(np.uint64) + np.uint64(1)))
        size = (1 + (drawn % np.uint64(_STEPS)).astype(np.float32)) / 4
        negative = self._signed[component] & ((drawn >> np.uint64(32)) % np.uint64(2) == 1)
        return np.where(negative, -size, size).astype(np.float32)


def stand_in_measured(plan: Plan, batch: TokenBatch, valid: Bool) -> Measured:
    """Return what a model would have measured: numbers that follow from the keys of the rows."""
    found = {}
    for each in plan.statistics:
        if isinstance(each, MeasuredStatistic):
            total = np.zeros(each.measured_entries(plan), np.int64)
            for key in batch.keys[valid.any(axis=1)]:
                drawn = np.random.default_rng(key.tolist())
                total += drawn.integers(0, 2**31, len(total)) * (drawn.random(len(total)) < _DRAWN)
            found[each.names[0]] = total
    return found


def _mixed(values: AnyArray) -> U64:
    """Return the values hashed (the finaliser of SplitMix64, wrapping)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)), np.uint64)


def _unit(hashes: U64) -> AnyArray:
    """Return float64 values in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53
