"""What the engine has done so far, and how long it took."""

from dataclasses import dataclass


@dataclass(slots=True)
class Timings:
    """Seconds spent so far in each stage, and counts that depend on the work alone.

    forward, encode, select: seconds. tokens: valid ones. batches: computed. splits: times that
    something was tried again in halves because memory ran out. forward_rows: rows sent through the
    model. host_bytes: what came out of a device that is not the processor: tokens, values and
    counts of the non-zeros.
    """

    forward: float = 0.0
    encode: float = 0.0
    select: float = 0.0
    tokens: int = 0
    batches: int = 0
    splits: int = 0
    forward_rows: int = 0
    host_bytes: int = 0
