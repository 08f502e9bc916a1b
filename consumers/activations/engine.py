"""The border between numbers and streams: what a source of activations hands over."""

from dataclasses import dataclass
from typing import Protocol

from streams.arrays import F32, I32, I64, Bool
from streams.records.corpus import TokenBatch


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """The non-zero values of one batch at its valid tokens, sorted by component, row, position.

    component: global component numbers of the run's plan, dropped ones left out. value: signed.
    """

    component: I64
    row: I32
    position: I32
    value: F32


class Engine(Protocol):
    """Computes a batch. The one on torch is in ``models``, tests bring a stand-in."""

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        """Return the activations where ``valid`` [row, position] holds.

        Raises NotFiniteError if anything computed at a valid token is NaN or infinite.
        """
