"""Random text with two habits of real text: few words are frequent, and phrases come again."""

import numpy as np

from streams.arrays import I32, I64

_PHRASES = 2000
_LENGTH = 8
_SHARE = 0.3
"""Phrases known, their length in tokens, and the share of the text that they make up."""


def random_rows(vocabulary: int, context: int, rows: int, seed: tuple[int, ...]) -> I32:
    """Return token ids int32 [rows, context].

    A token of rank r is drawn with a probability that goes with 1 / (r + 2.7); about a third of the
    positions belong to phrases of 8 tokens, drawn the same way from 2,000 that depend on the
    vocabulary alone.
    """
    length = min(_LENGTH, context)
    phrases = _zipf(np.random.default_rng(vocabulary), vocabulary, (_PHRASES, length))
    random = np.random.default_rng(seed)
    ids = _zipf(random, vocabulary, (rows, context))
    for slot in range(0, context - length + 1, length):
        chosen = np.flatnonzero(random.random(rows) < _SHARE)
        start = slot + random.integers(0, min(length, context - slot - length + 1), len(chosen))
        phrase = _zipf(random, _PHRASES, (len(chosen),))
        ids[chosen[:, None], start[:, None] + np.arange(length)] = phrases[phrase]
    return ids.astype(np.int32)


def _zipf(random: np.random.Generator, size: int, shape: tuple[int, ...]) -> I64:
    cumulative = np.cumsum(1 / (np.arange(size) + 2.7))
    found: I64 = np.searchsorted(cumulative, random.random(shape) * cumulative[-1])
    return found
