"""Batches and activations without a model, for what needs many of them.

Each feature fires at its own density, log-normal over the features, in bursts within a row.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.shapes import Shape, batches
from consumers.activations.engine import Activations
from consumers.plan import Plan, make_plan
from consumers.rankings.registry import rankings
from streams.arrays import Bool
from streams.records.corpus import TokenBatch
from streams.records.runs import Model, RunRecord, Source

_SIGMA = 1.0
_BURST = 2.0
_MOST = 0.2
"""Spread of the log-normal densities, mean firings of a feature in a row it fires in by chance,
and the largest density."""


class DrawnEngine:
    """Draws the activations of a batch from its place: the same batch gives the same values."""

    def __init__(self, features: int, l0: float, seed: int = 0) -> None:
        density = np.random.default_rng(seed).lognormal(0, _SIGMA, features)
        for _ in range(20):
            density = np.minimum(density * (l0 / density.sum()), _MOST)
        self._density = density
        self._seed = seed

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return activations at valid tokens, exponentially distributed."""
        random = np.random.default_rng((self._seed, batch.partition, batch.sequence))
        rows, positions = valid.shape
        bursts = random.poisson(self._density * (valid.size / _BURST))
        component = np.repeat(np.arange(len(bursts)), bursts)
        lengths = random.geometric(1 / _BURST, len(component))
        row = np.repeat(random.integers(0, rows, len(component)), lengths)
        component = np.repeat(component, lengths)
        token = row * positions + random.integers(0, positions, len(component))
        at = np.sort(component * valid.size + token)
        at = at[np.r_[True, at[1:] != at[:-1]]] if len(at) else at
        component, token = np.divmod(at, valid.size)
        row, position = np.divmod(token, positions)
        here = valid[row, position]
        value = random.exponential(1.0, len(at)).astype(np.float32) + np.float32(2**-20)
        return Activations(
            component[here],
            row[here].astype(np.int32),
            position[here].astype(np.int32),
            value[here],
        )


def replay_plan(shape: Shape, *, shards: int = 4, k: int = 100, partitions: int = 4) -> Plan:
    """Return the plan of a run that watches each feature of one dictionary alone."""
    source = Source("sae", "dictionary", "drawn", "0", shape.hook, shape.features)
    return make_plan(
        RunRecord(
            name="replay",
            corpus="text",
            partitions=partitions,
            context=shape.context,
            model=Model("drawn", "0", shape.vocabulary),
            sources=(source,),
            clusterings=(),
            shards=shards,
            store="memory://replay",
            rankings=rankings(k=k),
        )
    )


def replay_batches(shape: Shape, samples: int, partitions: int = 4) -> Iterator[TokenBatch]:
    """Yield the batches of a corpus of so many rows."""
    return batches(shape, samples, partitions=partitions)
