"""Pearson correlation and cosine of sparse with dense variables over tokens, with errors over rows.

Tokens of a row are no independent draws, rows are: the standard error is that of the linearised
correlation over clusters of tokens (Woodruff 1971; Wolter, Introduction to Variance Estimation,
chapter 6).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from streams.arrays import F64, I64

_DENSE = 2**23  # numbers of the largest array, 64 MB


@dataclass(frozen=True, eq=False)
class Correlated:
    """Pairs of a feature and one of the neurons that correlate most with it, best first.

    feature, neuron: numbers; pearson, cosine. error: standard error of pearson over rows, 1 where
    the feature is active in a single row.
    """

    feature: I64
    neuron: I64
    pearson: F64
    error: F64
    cosine: F64


@dataclass(frozen=True, eq=False)
class TokenValues:
    """Values at tokens. features: sparse [feature, token]; neurons: sparse [token, neuron].

    row: the number of the row of each token, ascending. neurons are few enough to be made dense
    some at a time; what is not stored is 0.
    """

    features: Any
    neurons: Any
    row: I64

    def most_correlated(self, k: int, least: int) -> Correlated:
        """Return the k neurons of the largest absolute correlation of each feature.

        least: tokens at which a feature has to be active. Of equal ones the lower neuron comes
        first; neurons that do not vary correlate with nothing.
        """
        count = np.diff(self.features.indptr)
        numbers = np.flatnonzero(count >= least)
        best = np.zeros((len(numbers), 0))
        which = np.zeros((len(numbers), 0), np.int64)
        for first, values in self._blocks():
            found = self._correlations(numbers, values)
            new = np.broadcast_to(first + np.arange(values.shape[1]), found.shape)
            best, which = _largest(np.hstack([best, found]), np.hstack([which, new]), k)
        line, place = np.nonzero(best)
        pearson, neuron, feature = best[line, place], which[line, place], numbers[line]
        error, cosine = self._errors(feature, neuron, pearson)
        return Correlated(feature, neuron, pearson, error, cosine)

    def _blocks(self) -> Iterator[tuple[int, F64]]:
        """Yield some neurons after others: the first one's number, and values [token, neuron]."""
        tokens, neurons = self.neurons.shape
        size = max(1, _DENSE // max(tokens, 1))
        by_neuron = self.neurons.tocsc()
        for first in range(0, neurons, size):
            yield first, by_neuron[:, first : first + size].toarray()

    def _correlations(self, numbers: I64, values: F64) -> F64:
        """Return the correlation of features with dense neurons, [feature, neuron]."""
        found = np.empty((len(numbers), values.shape[1]))
        centred = values - values.mean(axis=0)
        spread = (centred**2).sum(axis=0)
        size = max(1, _DENSE // max(values.shape[1], 1))
        for first in range(0, len(numbers), size):
            some = numbers[first : first + size]
            # The mean of a feature times what is centred adds up to 0.
            together = self.features[some] @ centred
            scale = np.sqrt(np.outer(self._spread[some], spread))
            found[first : first + size] = np.divide(
                together, scale, out=np.zeros_like(together), where=scale > 0
            )
        return found

    def _errors(self, feature: I64, neuron: I64, pearson: F64) -> tuple[F64, F64]:
        error, cosine = np.ones(len(feature)), np.zeros(len(feature))
        rows = len(self._begins)
        for first, values in self._blocks():
            inside = np.flatnonzero((neuron >= first) & (neuron < first + values.shape[1]))
            for some in np.array_split(inside, max(1, len(inside) * rows // _DENSE)):
                chosen = neuron[some] - first
                found = self._error(feature[some], values, chosen, pearson[some])
                error[some], cosine[some] = found
        return error, cosine

    def _error(self, feature: I64, values: F64, neuron: I64, pearson: F64) -> tuple[F64, F64]:
        """Return errors and cosines of pairs; neuron: columns of values."""
        rows, tokens = len(self._begins), np.diff(np.r_[self._begins, len(self.row)])
        mine = self.features[feature]
        pair = np.repeat(np.arange(len(feature)), np.diff(mine.indptr))
        at = pair * rows + self._number[mine.indices]

        def sums(of: F64) -> F64:
            found: F64 = np.bincount(at, of, minlength=len(feature) * rows).astype(np.float64)
            return found.reshape(len(feature), rows)

        x = values[mine.indices, neuron[pair]]
        both, ones, squares = sums(mine.data * x), sums(mine.data), sums(mine.data**2)
        of_x = np.add.reduceat(values, self._begins)[:, neuron].T
        of_xx = np.add.reduceat(values**2, self._begins)[:, neuron].T
        mean_f = ones.sum(axis=1, keepdims=True) / len(self.row)
        mean_x = of_x.sum(axis=1, keepdims=True) / len(self.row)
        together = both - mean_f * of_x - mean_x * ones + tokens * mean_f * mean_x
        off_f = squares - 2 * mean_f * ones + tokens * mean_f**2
        off_x = of_xx - 2 * mean_x * of_x + tokens * mean_x**2
        all_f, all_x = off_f.sum(axis=1, keepdims=True), off_x.sum(axis=1, keepdims=True)
        of_row = together / np.sqrt(all_f * all_x)
        of_row -= pearson[:, None] / 2 * (off_f / all_f + off_x / all_x)
        error = np.sqrt((of_row**2).sum(axis=1) * rows / max(rows - 1, 1))
        several = (squares > 0).sum(axis=1) > 1
        cosine = both.sum(axis=1) / np.sqrt(squares.sum(axis=1) * of_xx.sum(axis=1))
        return np.where(several, np.minimum(error, 1.0), 1.0), cosine

    @cached_property
    def _begins(self) -> I64:
        """The first token of each row."""
        found: I64 = np.flatnonzero(np.r_[True, self.row[1:] != self.row[:-1]])
        return found

    @cached_property
    def _number(self) -> I64:
        """Of each token the row, counted from 0 without holes."""
        found: I64 = np.cumsum(np.r_[False, self.row[1:] != self.row[:-1]])
        return found

    @cached_property
    def _spread(self) -> F64:
        """Of each feature the sum of squares about its mean."""
        total = np.asarray(self.features.sum(axis=1)).reshape(-1)
        squares = np.asarray(self.features.multiply(self.features).sum(axis=1)).reshape(-1)
        found: F64 = np.maximum(squares - total**2 / max(len(self.row), 1), 0.0)
        return found


def _largest(values: F64, numbers: I64, k: int) -> tuple[F64, I64]:
    """Return the k of the largest absolute value of each line, equal ones in their order."""
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(values, order, 1), np.take_along_axis(numbers, order, 1)
