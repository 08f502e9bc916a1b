"""Random batches for the storing step, of stated sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from consumers.storage.blocks import DenseBatch, Members
from consumers.storage.top_blocks import TopBlocks
from streams.arrays import F32

DENSITY = 0.014
DEAD = 0.05
SURVIVORS = 0.01


@dataclass(frozen=True, slots=True)
class Workload:
    """clusters of ``members`` components each, in batches of ``samples`` x ``positions``.

    dead: share of components that never fire. goals: (slower, faster) -> least ratio.
    """

    name: str
    clusters: int
    samples: int
    members: int
    positions: int = 128
    dead: float = DEAD
    goals: Mapping[tuple[str, str], float] = field(default_factory=dict)


def make(workload: Workload, seed: int = 0) -> tuple[Members, DenseBatch]:
    """Return clusters, one after the other, and a random batch for them.

    A component is above 0 at 1.4 % of tokens unless it is dead; sample keys are all different.
    """
    random = np.random.default_rng(seed)
    count = workload.clusters * workload.members
    values = random.random((count, workload.samples, workload.positions), np.float32)
    values = np.where(values < DENSITY, values * np.float32(4 / DENSITY), np.float32(0))
    values[random.random(count) < workload.dead] = 0
    members = Members(np.arange(workload.clusters + 1) * workload.members, np.arange(count))
    return members, _batch(workload, values, random, 0)


def scaled(workload: Workload, base: DenseBatch, sequence: int) -> DenseBatch:
    """Return the batch as new samples: each one's rows of a cluster scaled by a random number."""
    random = np.random.default_rng((1, sequence))
    by = random.random((workload.clusters, 1, workload.samples, 1), np.float32)
    values = (base.components.reshape(_shape(workload)) * by).reshape(base.components.shape)
    return _batch(workload, values, random, sequence)


class Steady:
    """A cluster's best samples after so many batches that about 1 % of a further one gets in."""

    def __init__(self, workload: Workload, members: Members, base: DenseBatch, k: int) -> None:
        self.top = TopBlocks(members, k, workload.positions)
        self._workload, self._base = workload, base
        self._sequence = 0
        self.next()
        for _ in range(int(k / SURVIVORS / workload.samples)):
            self.add()
            self.next()
        self._begun, self._before = self._sequence, self.top.inserts

    def next(self) -> None:
        """Make the batch that comes next."""
        self._sequence += 1
        self._batch = scaled(self._workload, self._base, self._sequence)

    def add(self) -> None:
        """Take it into account."""
        self.top.add(self._batch)

    def survivors(self) -> float:
        """Return which share of all clusters' samples took a slot since the warm-up."""
        given = (self._sequence - self._begun) * self._workload.clusters * self._workload.samples
        return (self.top.inserts - self._before) / given


def _batch(
    workload: Workload, values: F32, random: np.random.Generator, sequence: int
) -> DenseBatch:
    high, low = random.integers(0, 2**64, (2, workload.samples), np.uint64)
    alive = (values != 0).any(axis=(1, 2))
    return DenseBatch(
        values.reshape(_shape(workload)).max(axis=1), values, alive, high, low, 0, sequence
    )


def _shape(workload: Workload) -> tuple[int, int, int, int]:
    return workload.clusters, workload.members, workload.samples, workload.positions
