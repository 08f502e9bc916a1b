"""Vectors of texts without any model: words weighted by how few of the texts have them.

tf-idf with hashed words (Salton and Buckley 1988; Weinberger et al. 2009); a stand-in where no
sentence model is installed.
"""

import re
from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np

from streams.arrays import F32

Embed = Callable[[Sequence[str]], F32]
"""Returns vectors [text, width] of length 1, or 0 for a text of nothing."""

NAME = "tf-idf of words"
_WIDTH = 2048
_WORD = re.compile(r"[^\W_]+|[^\w\s]")


def word_vectors(texts: Sequence[str]) -> F32:
    """Return vectors [text, 2048]; the weights of words follow from these texts alone."""
    counts = np.zeros((len(texts), _WIDTH), np.float64)
    for row, text in enumerate(texts):
        for word in _WORD.findall(text.casefold()):
            counts[row, crc32(word.encode()) % _WIDTH] += 1
    held = (counts > 0).sum(axis=0)
    weighted = np.sqrt(counts) * np.log((1 + len(texts)) / (1 + held))
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    found: F32 = (weighted / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found
