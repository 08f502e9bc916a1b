"""Contributions: what a statistic adds for one batch, in addresses of the run's layout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.statistics.counter_merge import Counts
from streams.arrays import F32, I64, U64


@dataclass(frozen=True, slots=True, eq=False)
class MomentSums:
    """What is added to moments: sum, smallest and largest of each address; addresses ascend."""

    at: I64
    sum: I64
    low: F32
    high: F32


@dataclass(frozen=True, slots=True, eq=False)
class KeySums:
    """What is added to keyed sums, sorted by cluster and key, each pair once.

    cluster: 0 for what the run owns. value: [entry, column].
    """

    cluster: I64
    key: U64
    value: I64


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """All that a statistic adds. sums: addresses, ascending, and numbers above 0, in any parts.

    keyed: by the accumulator's name. names: the texts of the batch that its keys are hashes of, in
    the order of these.
    """

    sums: tuple[Counts, ...] = ()
    moments: tuple[MomentSums, ...] = ()
    keyed: Mapping[str, KeySums] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_NONE = MomentSums(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)
)


def merged_moments(parts: Sequence[MomentSums]) -> MomentSums:
    """Return moments of several statistics as one, addresses ascending."""
    if len(parts) < 2:
        return parts[0] if parts else _NONE
    order = np.argsort(np.concatenate([part.at for part in parts]), kind="stable")
    columns = (
        np.concatenate([getattr(part, name) for part in parts])[order]
        for name in MomentSums.__dataclass_fields__
    )
    return MomentSums(*columns)
