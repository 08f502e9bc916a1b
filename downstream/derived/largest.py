"""The k largest or smallest of each row of a matrix, exact, without sorting the rows."""

import numpy as np

from streams.arrays import F32, I64

_CHUNK = 64


def largest(values: F32, k: int) -> I64:
    """Return the columns [row, k] of each row's k largest, the largest first, ties by column.

    values: [row, column], finite or minus infinity. k is at most the number of columns.
    """
    maxima = _chunks(values, k, np.maximum)
    bound = np.partition(maxima, -k, axis=1)[:, -k]
    return _best(values, values >= bound[:, None], k, np.float32(-1))


def smallest(values: F32, k: int) -> I64:
    """Return the columns [row, k] of each row's k smallest, the smallest first, ties by column.

    values: [row, column], finite or infinity. k is at most the number of columns.
    """
    minima = _chunks(values, k, np.minimum)
    bound = np.partition(minima, k - 1, axis=1)[:, k - 1]
    return _best(values, values <= bound[:, None], k, np.float32(1))


def _chunks(values: F32, k: int, extreme: np.ufunc) -> F32:
    """Return the extreme of every chunk of columns, at least k per row.

    The k-th best of them is a bound that k values of the row reach: one in each of k chunks. A
    chunk is columns a fixed step apart, so that whole rows are compared at once.
    """
    rows, columns = values.shape
    if not 0 < k <= columns:
        raise ValueError(f"the {k} best of {columns}")
    step = columns // _CHUNK
    if step < k:
        return values
    whole = extreme.reduce(values[:, : step * _CHUNK].reshape(rows, _CHUNK, step), axis=1)
    return np.concatenate([whole, values[:, step * _CHUNK :]], axis=1)


def _best(
    values: F32,
    candidate: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    k: int,
    sign: np.float32,
) -> I64:
    """Return each row's first k candidates [row, k] by value times sign, ties by column."""
    row, column = np.divmod(np.flatnonzero(candidate), values.shape[1])
    order = np.lexsort((column, values[row, column] * sign, row))
    first = np.searchsorted(row, np.arange(len(values)))
    best = order[first[:, None] + np.arange(k)]  # row is sorted, so each row's stretch stays
    found: I64 = column[best]
    return found


def row_blocks(rows: int, columns: int, most: int = 2**23) -> list[slice]:
    """Return slices of rows whose part of a matrix has about ``most`` values, 32 MiB by default."""
    step = max(1, most // max(columns, 1))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]
