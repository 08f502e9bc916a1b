"""What the engine has done so far, and how long it took."""

from dataclasses import dataclass


@dataclass(slots=True)
class Timings:
    """Seconds spent so far in each stage, and counts that depend on the work alone.

    forward, encode, select: seconds. tokens: valid ones. batches: computed. splits: times that
    something was tried again in halves because memory ran out. forward_rows: rows sent through the
    model. passes: times that a number per token and component was written or read, summed over
    sources and batches; what SAELens' own encode does counts as one. host_bytes: what came out of
    the device, tokens, values and counts of the non-zeros.
    """

    forward: float = 0.0
    encode: float = 0.0
    select: float = 0.0
    tokens: int = 0
    batches: int = 0
    splits: int = 0
    forward_rows: int = 0
    passes: int = 0
    host_bytes: int = 0
