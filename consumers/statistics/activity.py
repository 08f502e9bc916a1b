"""Activity of clusters in one batch: the view that every statistic is handed, rows found once."""

from dataclasses import dataclass, field

from consumers.run_clusters import RunClusters
from consumers.statistics.measured import Measured
from streams.arrays import F32, I32, I64, U32, Bool
from streams.records.corpus import TokenBatch


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A batch's activations as runs: component c has entries first[c] to first[c + 1] - 1.

    token: row * positions + position. value: signed. activity: the value with its source's sign
    applied, minus infinity where that does not exceed the threshold. fired [component]: how many
    entries do.
    """

    positions: int
    first: I64
    token: I32
    value: F32
    activity: F32
    fired: I64


@dataclass(frozen=True, slots=True, eq=False)
class ClusterTokens:
    """Where clusters fire: cluster c at tokens first[c] to first[c + 1] - 1, ascending.

    activity: that of the strongest member.
    """

    first: I64
    token: I32
    activity: F32


@dataclass(frozen=True, slots=True, eq=False)
class FiringRows:
    """Rows in which clusters fire, by cluster and then row; n of each column.

    begin [cluster + 1]: a cluster's rows are begin[c] to begin[c + 1] - 1. cluster and row: which.
    first and stop: its tokens there, as indices into the ``ClusterTokens``. maximum: its largest
    activity. peak: the first token that has it, as such an index.
    """

    begin: I64
    cluster: U32
    row: I32
    first: I64
    stop: I64
    maximum: F32
    peak: I64

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterActivity:
    """What statistics see of a batch. valid [row, position]: the tokens that count.

    runs: by component, in the order of the text. tokens: by cluster. rows: by cluster and row.
    measured: what the engine measured beside.
    """

    clusters: RunClusters
    batch: TokenBatch
    valid: Bool
    runs: Runs
    tokens: ClusterTokens
    rows: FiringRows
    measured: Measured = field(default_factory=dict, kw_only=True)
