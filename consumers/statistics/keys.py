"""Keys of keyed sums: 64-bit hashes, so that the smallest ones are a fair and order-free choice."""

import hashlib

import numpy as np

from streams.arrays import U64

OTHER = np.uint64(2**64 - 1)
"""The key that the sums of evicted keys go to; no other hash is so large."""

# SplitMix64's finaliser (Steele, Lea and Flood, 2014).
_MULTIPLIERS = (
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
)


def key_of(text: str) -> int:
    """Return the key of a text: the first 8 bytes of its BLAKE2b hash, big end first."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return min(int.from_bytes(digest, "big"), int(OTHER) - 1)


def keys_of(numbers: U64) -> U64:
    """Return the keys of whole numbers: different ones for different numbers below 2**63."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MULTIPLIERS[0])
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MULTIPLIERS[1])
    return mixed ^ (mixed >> np.uint64(31))
