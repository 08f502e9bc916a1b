"""The best samples of each feature, the two ways that others find them.

Both see every feature's every token, dense, and keep what they find as Python objects. Ties go to
the smaller sample key, as ours do, so that results can be compared; where a score is reached twice
in a row the first position counts.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from streams.arrays import F32, I64

# Score, minus the key, and the sample's number.
Ranked = tuple[float, int, int]
POSITIONS = 5
"""How many of a sample's best positions an example shows."""


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """One sample of a feature; larger is better, by score and key alone. after: minus the key.

    positions, values: the best positions of the row at which it is positive, best first.
    """

    score: float
    after: int
    peak: int
    positions: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(slots=True, eq=False)
class Heaps:
    """Per feature the k best samples so far, worst first, and how many samples were positive."""

    k: int
    heaps: list[list[Example]]
    positive: list[int]


@dataclass(slots=True, eq=False)
class Deferred:
    """What each sample gave, waiting for the heaps to be built at the end.

    maxima [feature], peaks [feature], values [feature, best], positions [feature, best] each.
    """

    keys: list[int] = field(default_factory=list)
    maxima: list[F32] = field(default_factory=list)
    peaks: list[I64] = field(default_factory=list)
    values: list[F32] = field(default_factory=list)
    positions: list[I64] = field(default_factory=list)


def empty(features: int, k: int) -> Heaps:
    """Return heaps without anything in them."""
    return Heaps(k, [[] for _ in range(features)], [0] * features)


def full(tables: Iterable[Iterable[tuple[float, int]]], k: int) -> Heaps:
    """Return heaps that hold samples seen before, of each feature its (score, key)s."""
    heaps = [[Example(score, -key, 0, (), ()) for score, key in table] for table in tables]
    for heap in heaps:
        heapq.heapify(heap)
    return Heaps(k, heaps, [0] * len(heaps))


def add_sequentially(heaps: Heaps, activations: Tensor, keys: Sequence[int]) -> None:
    """The loop: each sample, each feature, one transfer, one maximum, one heap.

    activations: float32 [sample, position, feature]. keys: the samples' keys, all different.
    """
    for sample, key in enumerate(keys):
        for feature, heap in enumerate(heaps.heaps):
            row = activations[sample, :, feature].cpu().numpy()
            peak = int(row.argmax())
            score = float(row[peak])
            if score <= 0:
                continue
            heaps.positive[feature] += 1
            if len(heap) == heaps.k and (score, -key) <= (heap[0].score, heap[0].after):
                continue
            found = np.argsort(-row, kind="stable")[:POSITIONS]
            example = _example(score, key, peak, found, row[found])
            if len(heap) < heaps.k:
                heapq.heappush(heap, example)
            else:
                heapq.heapreplace(heap, example)


def add_vectorised(deferred: Deferred, activations: Tensor, keys: Sequence[int]) -> None:
    """The proposal: per sample, maxima and five best positions of all features at once."""
    for sample, key in enumerate(keys):
        rows = activations[sample].T
        maxima, peaks = rows.max(dim=1)
        best = torch.topk(rows, k=min(POSITIONS, rows.shape[1]), dim=1)
        deferred.keys.append(key)
        deferred.maxima.append(maxima.cpu().numpy())
        deferred.peaks.append(peaks.cpu().numpy())
        deferred.values.append(best.values.cpu().numpy())
        deferred.positions.append(best.indices.cpu().numpy())


def build(deferred: Deferred, k: int) -> list[list[Ranked]]:
    """Build each feature's heap of the k best from what every sample gave, best first."""
    maxima = np.stack(deferred.maxima)
    found = []
    for feature in range(maxima.shape[1]):
        samples = np.flatnonzero(maxima[:, feature] > 0).tolist()
        scores = maxima[:, feature].tolist()
        ranked = [(scores[sample], -deferred.keys[sample], sample) for sample in samples]
        found.append(heapq.nlargest(k, ranked))
    return found


def shown(deferred: Deferred, ranked: list[list[Ranked]]) -> list[list[Example]]:
    """Return each feature's examples, best first, from the heaps that were built."""
    return [
        [
            _example(
                score,
                -after,
                int(deferred.peaks[sample][feature]),
                deferred.positions[sample][feature],
                deferred.values[sample][feature],
            )
            for score, after, sample in of_feature
        ]
        for feature, of_feature in enumerate(ranked)
    ]


def positive_samples(deferred: Deferred) -> list[int]:
    """Return in how many samples each feature was positive."""
    found: list[int] = (np.stack(deferred.maxima) > 0).sum(axis=0).tolist()
    return found


def best_first(heaps: Heaps) -> list[list[Example]]:
    """Return each feature's examples, best first."""
    return [sorted(heap, reverse=True) for heap in heaps.heaps]


def _example(score: float, key: int, peak: int, positions: I64, values: F32) -> Example:
    positive = values > 0
    shown = tuple(positions[positive].tolist()), tuple(values[positive].tolist())
    return Example(score, -key, peak, *shown)
