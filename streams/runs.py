"""The run record: the immutable description of one corpus through one model."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from streams import codec
from streams.arrays import F32, I32, I64

Sign = Literal["value", "absolute", "positive", "negative"]
Kind = Literal["dictionary", "neurons", "weights"]
Forward = Literal["transformers-onednn", "transformers", "transformer-lens"]
CRITERIA = ("maximum", "last")


@dataclass(frozen=True, slots=True)
class Model:
    """The model of a run: where it is, what it holds and how it is computed.

    location: a transformer-lens name or a local folder. content: a hash of its weights.
    dtype: of the forward pass. micro_batch: rows per forward. threads: of the CPU. forward: whose
    code computes it, see ``consumers.inference.forwards``.
    """

    location: str
    content: str
    vocabulary: int
    dtype: str = "float32"
    micro_batch: int = 8
    threads: int = 1
    forward: Forward = codec.later("transformer-lens")


@dataclass(frozen=True, slots=True)
class Source:
    """A supplier of components at a hook.

    sign: how a value becomes activity. threshold: a component fires where activity exceeds it.
    dropped: components that the settings leave out. singles: build the clustering
    ``features/<name>`` of clusters of one; coactivation: count the tokens at which two of them fire
    together.
    """

    name: str
    kind: Kind
    location: str
    content: str
    hook: str
    components: int
    sign: Sign = "value"
    threshold: float = 0.0
    dropped: tuple[int, ...] = ()
    singles: bool = True
    coactivation: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Named sets of components; sets may overlap.

    sizes: members per cluster. source and index: the members, cluster by cluster; ``source`` counts
    in the run's sources. coactivation: count the tokens at which two clusters fire together.
    """

    name: str
    iteration: int
    content: str
    labels: tuple[str, ...]
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

    name: str
    corpus: str
    partitions: int
    context: int
    model: Model
    sources: tuple[Source, ...]
    clusterings: tuple[Clustering, ...]
    shards: int
    store: str
    criteria: tuple[str, ...] = ("maximum",)
    k: int = 100
    edges: F32 = field(default_factory=lambda: default_edges())
    masked_ids: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    masked_positions: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    sum_bits: int = 20
    bucket_bytes: int = 8 * 2**20
    record_bytes: int = 32 * 2**20
    created: str = ""
    warnings: tuple[str, ...] = codec.later(())


def default_edges() -> F32:
    """Return lower bin edges from 2**-8 to 2**8, four to a doubling."""
    return np.exp2(np.arange(-32, 33) / 4).astype(np.float32)


def run_id(run: RunRecord) -> str:
    """Return the hash of a run record that travels in every partial, 32 hexadecimal digits.

    The time of creation and the warnings are left out: the same settings are the same run.
    """
    bare = replace(run, created="", warnings=())
    return hashlib.sha256(codec.encode(bare)).hexdigest()[:32]
