"""Count-min sketch with fixed seeds: counts of very many keys in a few cells, never too low.

Each of ``DEPTH`` rows of cells has a hash of its own; a key adds to one cell of each, and its
count is at most the smallest of these (Cormode and Muthukrishnan, 2005). Adding is linear, so order
does not matter. In keyed sums a cell is an entry whose key lies at the top end of 64 bits.
"""

import math

import numpy as np

from consumers.compiled import compiled
from streams.arrays import I64, U64

DEPTH = 4
CERTAINTY = 1 - math.exp(-DEPTH)


def first_cell(width: int) -> int:
    """Return the key of the first cell of a sketch with so many cells in a row."""
    return 2**64 - 1 - DEPTH * width


def cells_of(keys: U64, width: int) -> I64:
    """Return the cells of keys, [key, row], counted from the first."""
    found = np.empty((len(keys), DEPTH), np.int64)
    for row in range(DEPTH):
        mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15 * (row + 1) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        found[:, row] = (mixed % np.uint64(width)).astype(np.int64) + row * width
    return found


def error_of(total: int, width: int) -> int:
    """Return how much too high a count is at most, in ``CERTAINTY`` of cases. total: of all."""
    return math.ceil(math.e * total / width)


@compiled
def estimates(cells: I64, values: I64, column: int, of_keys: I64) -> I64:
    """Return what a sketch says of keys. cells, values: those that are not 0; of_keys: cells_of."""
    dense = np.zeros(of_keys.max() + 1 if len(of_keys) else 0, np.int64)
    for at in range(len(cells)):
        if cells[at] < len(dense):
            dense[cells[at]] = values[at, column]
    found = np.empty(len(of_keys), np.int64)
    for key in range(len(of_keys)):
        least = dense[of_keys[key, 0]]
        for row in range(1, of_keys.shape[1]):
            least = min(least, dense[of_keys[key, row]])
        found[key] = least
    return found
