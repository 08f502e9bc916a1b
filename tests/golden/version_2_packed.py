"""The values whose packed bytes lie in ``v2``: what packed records must mean for ever."""

from typing import Any

import numpy as np

from streams.records.hits import Hits
from streams.records.partials import HitsPart, Statistics
from streams.records.tallies import BucketTally
from tests.golden.version_2 import RUN_ID


def records() -> dict[str, Any]:
    """Return records that travel packed, by the name of their file."""
    return {
        "packed-hits-part": HitsPart(RUN_ID, 2, 1, 2**40, hits()),
        "packed-hits-part-empty": HitsPart(RUN_ID, 0, 0, 0, hits(0)),
        "packed-statistics": Statistics(
            RUN_ID, 0, 1, 17, 3, 9, 512, 8, refused=False, tallies=(tally(3, 7), tally(8, 2**40))
        ),
        "packed-statistics-refused": Statistics(RUN_ID, 0, 1, 18, 0, 9, 0, 0, refused=True),
    }


def hits(count: int = 5) -> Hits:
    """Return the first of five hits of two rows.

    One is at its strongest value, one at a negative one, one at the first of two equal ones; two
    are not where their strongest value is.
    """
    entries = 2 * count
    return Hits(
        table=np.array([0, 0, 3, 70000, 70000], np.uint32)[:count],
        score=np.array([3.5, 2.0, 1.5, 1.0, -0.0], np.float32)[:count],
        sample_high=np.array([2**64 - 1, 5, 5, 2**64 - 1, 5], np.uint64)[:count],
        sample_low=np.array([0, 2**63, 2**63, 0, 2**63], np.uint64)[:count],
        peak=np.array([127, 0, 4, 9, 2], np.int32)[:count],
        partition=np.full(count, 1, np.int32),
        sequence=np.full(count, 2**40, np.int64),
        row=np.array([300, 7, 7, 300, 7], np.int32)[:count],
        rows=np.full(count, 2, np.int32),
        member=np.array([0, 0, 0, 0, 0, 0, 0, 300, 1, 2], np.int32)[:entries],
        position=np.array([126, 127, 0, 5, 4, 5, 8, 9, 2, 3], np.int32)[:entries],
        value=np.array([1, 3.5, -2, 1, 1.5, 1.5, 8, 1, 0.5, 0.25], np.float32)[:entries],
    )


def tally(bucket: int, largest: int) -> BucketTally:
    """Return a tally of four counters and two clusters."""
    return BucketTally(
        bucket=bucket,
        count_at=np.array([2, 3, 5, 70000], np.uint32),
        count=np.array([1, 2, 1, largest], np.int64),
        sum_at=np.array([0, 3], np.uint32),
        sum=np.array([2**20, largest], np.int64),
        low=np.array([0.125, 1.0], np.float32),
        high=np.array([0.25, 8.0], np.float32),
    )
