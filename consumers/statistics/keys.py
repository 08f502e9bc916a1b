"""Keys of keyed sums: 64-bit hashes, so that the smallest ones are a fair and order-free choice."""

import hashlib

import numpy as np

OTHER = np.uint64(2**64 - 1)
"""The key that the sums of evicted keys go to; no other hash is so large."""

LONGEST = 200
"""Characters of a text that a key is a hash of; what is longer is cut there."""


def key_of(text: str) -> int:
    """Return the key of a text: the first 8 bytes of its BLAKE2b hash, big end first."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return min(int.from_bytes(digest, "big"), int(OTHER) - 1)
