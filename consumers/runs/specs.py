"""What a person asks of a run, before anything is loaded: plain values, no torch."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from annotated_types import Interval, MaxLen

from streams import bounds
from streams.bounds import FieldRule
from streams.records.runs import Forward, Keep, RunRecord, Sign

Coactivation = bool | Literal["auto"]
COACTIVATION_LIMIT = 1024
USUAL_CONTEXT = 128
DEFAULT = "default"
"""In a list of rankings or statistics: all those that a run has by default."""
Dtype = Literal["float32", "bfloat16", "float16", "auto"]
Threshold = Annotated[float, Interval(ge=0, lt=math.inf)]
Dropped = Annotated[tuple[bounds.Component, ...], MaxLen(bounds.MAX_CLUSTERS)]
# These are tables of a settings file as they are here: unknown keys are errors there.
OF_SETTINGS: Mapping[str, Any] = {"extra": "forbid", "hide_input_in_errors": True}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """path: a transformer-lens name or a local Hugging Face folder, "" if none is named.

    threads: CPU threads of the forward pass, 0 for all cores of this machine. dtype: "auto" is
    bfloat16 where the processor has it. micro_batch: "auto" is measured when the run is created,
    None is what ``batch_sizes`` says.
    forward: "auto" is the fastest that agrees with the published code. tf32: let GPUs multiply
    float32 as TF32. Records hold what was chosen.
    """

    path: str = ""
    device: str = "auto"
    dtype: Dtype = "float32"
    micro_batch: bounds.MicroBatch | Literal["auto"] | None = None
    threads: bounds.Threads = 0
    forward: Forward | Literal["auto"] = "auto"
    tf32: bool = False
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS


@dataclass(frozen=True, slots=True)
class DictionarySpec:
    """A dictionary: a folder or file (``path``), or ``release`` and ``id``.

    hook: None takes the one its metadata names. sign: None takes the architecture's.
    clusters_of_one: also watch each component as a cluster of one.
    """

    name: str
    path: str | None = None
    release: str | None = None
    id: str | None = None
    hook: str | None = None
    sign: Sign | None = None
    threshold: Threshold = 0.0
    dropped: Dropped = ()
    clusters_of_one: bool = True
    coactivation: Coactivation = "auto"
    kind: ClassVar[str] = "dictionary"
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS

    def __post_init__(self) -> None:
        listed = self.release is not None and self.id is not None
        if (self.path is not None) == listed or (self.release is None) != (self.id is None):
            raise ValueError("give either path, or release and id")

    @property
    def location(self) -> str:
        """Where it lies, as records say it."""
        return self.path or f"{self.release}#{self.id}"


@dataclass(frozen=True, slots=True)
class NeuronsSpec:
    """The values of a hook as they are."""

    name: str
    hook: str
    sign: Sign = "absolute"
    threshold: Threshold = 0.0
    dropped: Dropped = ()
    clusters_of_one: bool = True
    coactivation: Coactivation = "auto"
    kind: ClassVar[str] = "neurons"
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS
    location: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class WeightsSpec:
    """Components ``x @ V``, V a tensor [width of the hook, components] of a safetensors file."""

    name: str
    path: str
    tensor: str
    hook: str
    sign: Sign = "absolute"
    threshold: Threshold = 0.0
    dropped: Dropped = ()
    clusters_of_one: bool = True
    coactivation: Coactivation = "auto"
    kind: ClassVar[str] = "weights"
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS

    @property
    def location(self) -> str:
        """Where it lies, as records say it."""
        return f"{self.path}#{self.tensor}"


class SourceSpec(Protocol):
    """What all of these say of a source; ``kind`` names its file in ``consumers.sources``."""

    @property
    def name(self) -> str:
        """Name in the run."""

    @property
    def kind(self) -> str:
        """Name of its kind in the registry."""

    @property
    def location(self) -> str:
        """Where it lies, as its kind understands it."""

    @property
    def hook(self) -> str | None:
        """The hook that it reads; None for the one that the source itself names."""

    @property
    def sign(self) -> Sign | None:
        """How a value becomes activity; None for what the source itself says."""

    @property
    def threshold(self) -> float:
        """A component fires above it."""

    @property
    def dropped(self) -> tuple[int, ...]:
        """Components that are left out."""

    @property
    def clusters_of_one(self) -> bool:
        """Whether each component is watched as a cluster of one, too."""

    @property
    def coactivation(self) -> Coactivation:
        """Whether pairs of these are counted."""


@dataclass(frozen=True, slots=True)
class ClusteringSpec:
    """A cluster file."""

    path: str
    coactivation: Coactivation = "auto"
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS


def _names_ranking(text: str) -> bool:
    return text == DEFAULT or re.fullmatch(r"[a-z_]+(=[1-9][0-9]{0,5})?", text) is not None


RankingName = Annotated[str, FieldRule(_names_ranking, "no ranking: write NAME or NAME=K")]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is computed of a run, the keys of ``[run]``; meanings are those of ``RunRecord``.

    rankings: NAME, or NAME=K for K examples of each cluster instead of ``k``. statistics: the
    optional ones, see ``consumers.statistics.parameters``. Both may name "default", which stands
    for those of ``default_numbers`` that ``without`` does not name. mask_special: ids
    that the tokenizer calls special count as absent. edges: None for the usual. bucket_bytes: None
    for half of ``record_bytes``, see ``default_numbers.usual_bucket_bytes``.
    """

    k: bounds.K = 100
    rankings: Annotated[tuple[RankingName, ...], MaxLen(16)] = ("maximum",)
    statistics: Annotated[tuple[bounds.Label, ...], MaxLen(64)] = ()
    without: Annotated[tuple[bounds.Label, ...], MaxLen(64)] = ()
    shards: bounds.Shards = 4
    mask_special: bool = True
    mask_ids: Annotated[tuple[bounds.TokenId, ...], MaxLen(bounds.MAX_VOCABULARY)] = ()
    mask_positions: Annotated[tuple[bounds.Position, ...], MaxLen(bounds.MAX_CONTEXT)] = ()
    edges: Annotated[tuple[float, ...], MaxLen(bounds.MAX_EDGES)] | None = None
    sum_bits: bounds.SumBits = 20
    keep: Keep = "nothing"
    bucket_bytes: Annotated[int, Interval(ge=2**10, le=2**30)] | None = None
    record_bytes: Annotated[int, Interval(ge=2**12, le=2**30)] = 32 * 2**20
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS

    def options(self) -> dict[str, Any]:
        """Return these keys alone, by name."""
        return {each.name: getattr(self, each.name) for each in fields(RunOptions)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec(RunOptions):
    """A run to be created: what to compute, and of which model, sources and clusterings.

    parameters: of optional statistics, by name; those that stand there are counted, too.
    """

    name: str
    store: str
    model: ModelSpec
    sources: tuple[SourceSpec, ...]
    clusterings: tuple[ClusteringSpec, ...] = ()
    parameters: Mapping[str, Mapping[str, int | float]] = field(default_factory=dict)


def coactivates(wanted: Coactivation, clusters: int) -> bool:
    """Return whether co-activation is counted: "auto" counts it for up to 1,024 clusters."""
    return clusters <= COACTIVATION_LIMIT if wanted == "auto" else wanted


def settled(spec: RunSpec, known: RunRecord) -> RunSpec:
    """Return a run with what "auto" meant when the run of that name was created.

    So that creating it again, from a restarted container say, measures nothing and makes the same
    record.
    """
    model = spec.model
    if model.micro_batch in ("auto", None):
        model = replace(model, micro_batch=known.model.micro_batch)
    if model.dtype == "auto":
        dtype: Any = known.model.dtype
        model = replace(model, dtype=dtype)
    if model.forward == "auto":
        model = replace(model, forward=known.model.forward)
    return replace(spec, model=model)


def suggested_context(model: ModelSpec, trained: int | None) -> int:
    """Return the row length for a corpus whose settings name none.

    What its dictionaries were trained at, else 128; or what the model takes if that is less. Reads
    the model's configuration only.
    """
    wanted = trained or USUAL_CONTEXT
    return min([wanted, longest_context(model) or wanted])


def longest_context(model: ModelSpec) -> int | None:
    """Return how many positions a local model takes, None where its configuration does not say."""
    config = _read(Path(model.path) / "config.json")
    limits = [
        _number(part, key)
        for part in (config, config.get("text_config"))  # of a multimodal model's language part
        for key in ("n_positions", "max_position_embeddings")
    ]
    return min((n for n in limits if n), default=None)


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object; an unreadable one is empty here and refused when it is loaded."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(found: Any, key: str) -> int | None:
    value = found.get(key) if isinstance(found, dict) else None
    return value if type(value) is int and value > 0 else None
