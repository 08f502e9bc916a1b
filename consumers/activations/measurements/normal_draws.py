"""Standard normal draws that follow from a sample key and a place alone, the same bits anywhere.

A counter-based generator (NumPy's Philox, whose stream is fixed) gives 16-bit numbers; each is the
index of a quantile of the normal distribution, rounded to an integer, and a draw is the sum of two.
No logarithm or cosine is taken of what is drawn, so that no library's last bits matter.
"""

import hashlib
from functools import cache
from statistics import NormalDist

import numpy as np

from consumers.compiled import compiled
from streams.arrays import F32, I32, U8, AnyArray, Bool

_QUANTILES = 2**16
_UNITS = 2**18


@cache
def quantiles() -> tuple[I32, float]:
    """Return the table of quantiles, and what a sum of two of them is multiplied with.

    The scale makes the variance of draws 1. The largest draw is 6.1.
    """
    normal = NormalDist()
    upper = [normal.inv_cdf((n + 0.5) / _QUANTILES) for n in range(_QUANTILES // 2, _QUANTILES)]
    half = np.rint(np.array(upper) * _UNITS).astype(np.int32)
    table = np.concatenate([-half[::-1], half])
    variance = 2 * int((table.astype(np.int64) ** 2).sum()) / _QUANTILES
    return table, float(1 / np.sqrt(variance))


def draw(keys: U8, valid: Bool, hook: str, width: int, out: F32) -> float:
    """Write a draw for each valid token and value of a hook into ``out`` [token, width].

    keys [row, 16]: sample keys. valid [row, position]. Draws are whole numbers; the scale that
    makes them standard normal is returned. A row's draws follow from its key and the hook's name: a
    position has the same ones in every batch.
    """
    table, scale = quantiles()
    name = hashlib.blake2b(hook.encode(), digest_size=8).digest()
    counter = [0, 0, 0, int.from_bytes(name, "big")]  # the lowest word counts
    positions, first = valid.shape[1], 0
    for row in np.flatnonzero(valid.any(axis=1)):
        key = np.ascontiguousarray(keys[row]).view(">u8").astype(np.uint64)
        raw = np.random.Philox(key=key, counter=counter).random_raw(-(-positions * width // 2))
        index = raw.astype("<u8", copy=False).view("<u2")
        first = _fill(index, table, valid[row], out, first)
    return scale


@compiled
def _fill(index: AnyArray, table: I32, valid: AnyArray, out: AnyArray, first: int) -> int:
    width = out.shape[1]
    for position in range(len(valid)):
        if valid[position]:
            at = 2 * position * width
            for value in range(width):
                out[first, value] = np.float32(table[index[at]] + table[index[at + 1]])
                at += 2
            first += 1
    return first
