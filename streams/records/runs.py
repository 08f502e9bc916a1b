"""The run record: the immutable description of one corpus through one model."""

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, MaxLen

from streams import bounds
from streams.arrays import F32, I32, I64
from streams.bounds import FieldRule
from streams.names import Name
from streams.records.measures import (
    ACTIVATION,
    MAXIMUM,
    Measure,
    are_sound,
    are_sound_rankings,
    bare_name,
    edges_of,
    measure,
    parameter,
    parameters_of,
    statistics,
)
from streams.wire import codec

Keep = Literal["nothing", "activations"]
Sign = Literal["value", "absolute", "positive", "negative"]
Forward = Literal["transformers-onednn", "transformers", "transformers-eager", "transformer-lens"]


@dataclass(frozen=True, slots=True)
class Model:
    """The model of a run: where it is, what it holds and how it is computed.

    location: a transformer-lens name or a local folder. content: a hash of its weights.
    dtype: of the forward pass. micro_batch: rows per forward. threads: of the CPU. forward: whose
    code computes it, see ``consumers.models.agreement``; reason: why that one, if it is none of
    the usual. tf32: whether GPUs multiply float32 as TF32.
    """

    location: bounds.Text
    content: bounds.Text
    vocabulary: bounds.Vocabulary
    dtype: bounds.Label = "float32"
    micro_batch: bounds.MicroBatch = 8
    threads: bounds.Threads = 1
    forward: Forward = "transformer-lens"
    reason: str = ""
    tf32: bool = codec.later(False)


@dataclass(frozen=True, slots=True)
class Source:
    """A supplier of components at a hook.

    kind: what ``consumers.sources`` loads it as; a worker that knows no such kind refuses the run.
    sign: how a value becomes activity. threshold: a component fires where activity exceeds it.
    dropped: components that the settings leave out. singles: build the clustering
    ``features/<name>`` of clusters of one; coactivation: count the tokens at which two of them fire
    together.
    """

    name: Name
    kind: Name
    location: bounds.Text
    content: bounds.Text
    hook: bounds.Text
    components: bounds.Components
    sign: Sign = "value"
    threshold: Annotated[float, Interval(ge=0, lt=math.inf)] = 0.0
    dropped: Annotated[tuple[bounds.Component, ...], MaxLen(bounds.MAX_CLUSTERS)] = ()
    singles: bool = True
    coactivation: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Named sets of components; sets may overlap.

    sizes: members per cluster. source and index: the members, cluster by cluster; ``source`` counts
    in the run's sources. coactivation: count the tokens at which two clusters co-activate.
    """

    name: Name
    iteration: bounds.Iteration
    content: bounds.Text
    labels: Annotated[tuple[bounds.Label, ...], MaxLen(bounds.MAX_CLUSTERS)]
    sizes: I32
    source: I32
    index: I32
    coactivation: bool = True


_Statistics = Annotated[
    tuple[Measure, ...],
    MaxLen(256),
    FieldRule(are_sound, "no statistics with parameters they may have"),
]
_Rankings = Annotated[
    tuple[Measure, ...],
    MaxLen(16),
    FieldRule(are_sound_rankings, "no rankings with parameters they may have"),
]


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """Everything that the numbers of a run depend on. Workers build their plan from it alone.

    statistics and rankings: what is counted, and what examples are ranked by (``measures``).
    masked_ids and masked_positions: tokens that count as absent. store: folder or address that
    snapshots are written to.
    warnings: what has to be said of the numbers, a line each: where the run does otherwise than its
    dictionaries were trained, say. keep: what workers write into the store for each batch.
    """

    name: Name
    corpus: Name
    partitions: bounds.Partitions
    context: bounds.Context
    model: Model
    sources: Annotated[tuple[Source, ...], MaxLen(256)]
    clusterings: Annotated[tuple[Clustering, ...], MaxLen(1024)]
    shards: bounds.Shards
    store: bounds.Text
    statistics: _Statistics = field(default_factory=lambda: statistics())
    rankings: _Rankings = (measure(MAXIMUM, k=100),)
    masked_ids: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    masked_positions: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    bucket_bytes: bounds.BucketBytes = 8 * 2**20
    record_bytes: bounds.RecordBytes = 32 * 2**20
    created: bounds.Label = ""
    warnings: Annotated[tuple[bounds.Text, ...], MaxLen(1024)] = ()
    keep: Keep = codec.later("nothing")

    @property
    def ranking_names(self) -> tuple[str, ...]:
        """What examples are ranked by, without versions."""
        return tuple(map(bare_name, self.rankings))

    @property
    def k(self) -> int:
        """Examples per cluster and table, of the ranking that has most."""
        return max(int(parameters_of(each)["k"]) for each in self.rankings)

    @property
    def edges(self) -> F32:
        """Ascending lower edges of the histogram bins; one bin lies below them."""
        return edges_of(self.statistics)

    @property
    def sum_bits(self) -> int:
        """Sums are integers in units of 2**-sum_bits."""
        return int(parameter(self.statistics, ACTIVATION, "sum_bits"))


def with_parameters(
    run: RunRecord,
    *,
    k: int | None = None,
    edges: F32 | None = None,
    sum_bits: int | None = None,
) -> RunRecord:
    """Return a run with other parameters of its statistics and rankings. k: of each ranking."""
    bits = run.sum_bits if sum_bits is None else sum_bits
    present = statistics(bits, run.edges if edges is None else edges)
    of = {each.name: each for each in present}
    return replace(
        run,
        statistics=tuple(of.get(each.name, each) for each in run.statistics),
        rankings=run.rankings if k is None else tuple(_with_k(each, k) for each in run.rankings),
    )


def _with_k(ranking: Measure, k: int) -> Measure:
    return measure(ranking.name, **{**parameters_of(ranking), "k": k})
