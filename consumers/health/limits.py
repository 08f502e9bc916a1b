"""When a worker gives up, so that somebody looks, or its process manager starts it again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a worker bears; times are in seconds.

    dead_letter_ratio: share of refused records among the last ``dead_letter_records``.
    dead_letter_run: refused records in a row in one partition. stall: without progress although
    there is work; 0: for ever. incomplete: until a chain with a gap, which nobody is about to
    fill, is named; 0: never. refused_share: of a run's batches; a run of which more were refused
    ends with status 1 although its final snapshot is written.
    """

    dead_letter_ratio: float = 0.05
    dead_letter_records: int = 1000
    dead_letter_run: int = 20
    stall: float = 300.0
    incomplete: float = 60.0
    refused_share: float = 0.05
