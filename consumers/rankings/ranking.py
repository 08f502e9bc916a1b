"""Ranking protocol: the score that orders a table of examples, and its plain recomputation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from consumers.statistics.activity import ClusterActivity
from streams.arrays import F32, I32, U32, AnyArray

if TYPE_CHECKING:
    from consumers.statistics.device.activity import DeviceActivity


class Candidates(NamedTuple):
    """Rows that may be examples, at most one per cluster and row; n of each.

    score: what orders them, largest first; finite. token: row * positions + position of the peak.
    table: which of the ranking's tables of the cluster; None where it has one.
    """

    cluster: U32
    score: F32
    token: I32
    table: U32 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PlainRow:
    """A row in which a cluster is active, for the recomputation.

    activity [position]: float32, minus infinity where the cluster is not active. values [member,
    position]: signed, 0 where the member is not active. both_signs [member]: whether its source
    takes absolute values. valid [position]: tokens that count. sample: the key. cluster: its
    clustering, iteration and label. edges: of the run's histogram.
    """

    activity: F32
    values: F32
    both_signs: tuple[bool, ...]
    valid: AnyArray
    sample: bytes
    cluster: tuple[str, int, str]
    edges: tuple[float, ...]


class PlainScore(NamedTuple):
    """score orders, ``shown`` stands in the column ``score``; table: as in ``Candidates``."""

    score: float
    peak: int
    shown: float
    table: int = 0


class Ranking(Protocol):
    """What fills a table of examples per cluster: a score that is a pure function of a row.

    name: ``name@version``. meaning: what its score is, for people. usual_k: rows per table where
    settings name none; None takes the run's k.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    usual_k: ClassVar[int | None] = None

    def tables(self, edges: F32) -> int:
        """Return how many tables a cluster has, of k rows each. edges: of the run's histogram."""
        return 1

    def candidates(self, activity: ClusterActivity, least: F32) -> Candidates:
        """Return the rows of a batch with a score of at least ``least`` [cluster, table]."""
        ...

    def shown(self, score: F32, at_peak: F32) -> F32:
        """Return what stands in the column ``score``. at_peak: the activity of each at its peak."""
        return score

    def recompute(self, row: PlainRow) -> PlainScore | None:
        """Return the same of one row in the plainest way; None if it is no example."""
        ...


@runtime_checkable
class DeviceRanking(Protocol):
    """A ranking that can also score rows where the activations are; others do on the host."""

    def candidates_on_device(self, activity: "DeviceActivity", least: F32, k: int) -> Candidates:
        """Return what ``candidates`` does, to the last bit. least: on the host.

        k: rows per table. What k rows of other samples beat in the batch itself may be left out.
        """
        ...


def candidates_of_rows(
    activity: ClusterActivity, score: F32, least: F32, table: U32 | None = None
) -> Candidates:
    """Return the rows that score enough, with the peak of their largest activation.

    score and table: of each of ``activity.rows``. least: as in ``Ranking.candidates``.
    """
    rows = activity.rows
    lowest = least[:, 0][rows.cluster] if table is None else least[rows.cluster, table]
    found = np.flatnonzero(score >= lowest)
    return Candidates(
        rows.cluster[found],
        score[found],
        activity.tokens.token[rows.peak[found]],
        None if table is None else table[found],
    )
