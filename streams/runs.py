"""The run record: the immutable description of one corpus through one model."""

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, MaxLen

from streams import bounds, codec
from streams.arrays import F32, I32, I64
from streams.names import Name

Sign = Literal["value", "absolute", "positive", "negative"]
Kind = Literal["dictionary", "neurons", "weights"]
Forward = Literal["transformers-onednn", "transformers", "transformers-eager", "transformer-lens"]
CRITERIA = ("maximum", "last")


@dataclass(frozen=True, slots=True)
class Model:
    """The model of a run: where it is, what it holds and how it is computed.

    location: a transformer-lens name or a local folder. content: a hash of its weights.
    dtype: of the forward pass. micro_batch: rows per forward. threads: of the CPU. forward: whose
    code computes it, see ``consumers.inference.agreement``; reason: why that one, if it is none of
    the usual.
    """

    location: bounds.Text
    content: bounds.Text
    vocabulary: bounds.Vocabulary
    dtype: bounds.Label = "float32"
    micro_batch: bounds.MicroBatch = 8
    threads: bounds.Threads = 1
    forward: Forward = codec.later("transformer-lens")
    reason: str = codec.later("")


@dataclass(frozen=True, slots=True)
class Source:
    """A supplier of components at a hook.

    sign: how a value becomes activity. threshold: a component fires where activity exceeds it.
    dropped: components that the settings leave out. singles: build the clustering
    ``features/<name>`` of clusters of one; coactivation: count the tokens at which two of them fire
    together.
    """

    name: Name
    kind: Kind
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
    in the run's sources. coactivation: count the tokens at which two clusters fire together.
    """

    name: Name
    iteration: bounds.Iteration
    content: bounds.Text
    labels: Annotated[tuple[bounds.Label, ...], MaxLen(bounds.MAX_CLUSTERS)]
    sizes: I32
    source: I32
    index: I32
    coactivation: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """Everything that the numbers of a run depend on. Workers build their plan from it alone.

    edges: ascending lower edges of the histogram bins, activity units; one bin lies below them.
    masked_ids and masked_positions: tokens that count as absent. sum_bits: sums are integers in
    units of 2**-sum_bits. store: folder or address that parts of snapshots are written to.
    warnings: what has to be said of the numbers, a line each: where the run does otherwise than its
    dictionaries were trained, say.
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
    criteria: Annotated[tuple[bounds.Label, ...], MaxLen(16)] = ("maximum",)
    k: bounds.K = 100
    edges: F32 = field(default_factory=lambda: default_edges())
    masked_ids: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    masked_positions: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    sum_bits: bounds.SumBits = 20
    bucket_bytes: bounds.BucketBytes = 8 * 2**20
    record_bytes: bounds.RecordBytes = 32 * 2**20
    created: bounds.Label = ""
    warnings: Annotated[tuple[bounds.Text, ...], MaxLen(1024)] = codec.later(())


def default_edges() -> F32:
    """Return lower bin edges from 2**-8 to 2**8, four to a doubling."""
    return np.exp2(np.arange(-32, 33) / 4).astype(np.float32)


def run_id(run: RunRecord) -> str:
    """Return the hash of a run record that travels in every partial, 32 hexadecimal digits.

    The time of creation and the warnings are left out: the same settings are the same run.
    """
    bare = replace(run, created="", warnings=())
    return hashlib.sha256(codec.encode(bare)).hexdigest()[:32]
