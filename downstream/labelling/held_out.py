"""Which contexts a labeller never sees: chosen by a hash of the sample, so the same everywhere."""

from hashlib import blake2b

SHARE = 0.5
RULE = "blake2b-64 of the sample key, personalised 'held out', below half of its range"


def is_held_out(sample: str) -> bool:
    """Return whether a sample, by its key in hexadecimal, is kept for scoring."""
    digest = blake2b(bytes.fromhex(sample), digest_size=8, person=b"held out").digest()
    return int.from_bytes(digest, "big") < SHARE * 2**64
