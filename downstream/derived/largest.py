"""The k largest of each row of a matrix, exact, without sorting the rows."""

import numpy as np

from streams.arrays import F32, I64

_CHUNK = 64


def largest(values: F32, k: int) -> I64:
    """Return the columns [row, k] of each row's k largest, the largest first, ties by column.

    values: [row, column], finite or minus infinity. k is at most the number of columns.
    """
    rows, columns = values.shape
    if not 0 < k <= columns:
        raise ValueError(f"the {k} largest of {columns}")
    bound = _lower_bound(values, k)
    row, column = np.nonzero(values >= bound[:, None])
    order = np.lexsort((column, -values[row, column], row))
    first = np.searchsorted(row, np.arange(rows))
    best = order[first[:, None] + np.arange(k)]  # row is sorted, so each row's stretch stays
    found: I64 = column[best]
    return found


def _lower_bound(values: F32, k: int) -> F32:
    """Return a value [row] that at least k of each row reach.

    k chunks of columns whose maxima reach it hold one such value each.
    """
    rows, columns = values.shape
    whole = columns // _CHUNK * _CHUNK
    maxima = np.concatenate(
        [values[:, :whole].reshape(rows, -1, _CHUNK).max(axis=2), values[:, whole:]], axis=1
    )
    if maxima.shape[1] < k:
        maxima = values
    at = maxima.shape[1] - k
    found: F32 = np.partition(maxima, at, axis=1)[:, at]
    return found


def row_blocks(rows: int, columns: int, most: int = 2**23) -> list[slice]:
    """Return slices of rows whose part of a matrix has about ``most`` values, 32 MiB by default."""
    step = max(1, most // max(columns, 1))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]
