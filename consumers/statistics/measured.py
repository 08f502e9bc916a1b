"""Measured: numbers that statistics have the engine find beside activations, of rows by hash."""

from collections.abc import Mapping

import numpy as np

from streams.arrays import I64, U8, Bool

Measured = Mapping[str, I64]
"""Whole numbers from 0 on, [entry], by the statistic's ``name@version``; they add up over batches.
What finds them is in ``consumers/activations/measurements``: they need hook values or logits."""


def chosen_rows(keys: U8, one_in: int) -> Bool:
    """Return which rows are looked at, by their hash. keys: sample keys, [row, 16]."""
    high = np.ascontiguousarray(keys).view(">u8")[:, 0].astype(np.uint64)
    chosen: Bool = high % np.uint64(one_in) == 0
    return chosen
