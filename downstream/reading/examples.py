"""Max-activating examples: hits and samples of a snapshot, joined on their place."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, overload

from downstream.reading.near_duplicates import folded
from downstream.reading.shading import shaded_html
from streams.errors import SnapshotError
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table


class ExampleSource(Protocol):
    """What examples are read from: a snapshot, and what it says of clusters and tokens."""

    @property
    def manifest(self) -> RunManifest:
        """Its manifest."""

    @property
    def name(self) -> str:
        """Its name."""

    def row_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return what each token of a row shows, as the tokenizer decodes the row."""

    def members(self, cluster: int) -> Sequence[str]:
        """Return the features of a cluster, by its number."""

    def max_activation(self, cluster: int) -> float:
        """Return the largest activation of a cluster, by its number."""


Place = tuple[int, int, int]
_PLACE = ("partition", "sequence", "row")


@dataclass(frozen=True)
class Example:
    """A context in which a cluster is active, token by token.

    tokens: the bytes of each. activations: the cluster's at each token, 0 where it is not active.
    members: per member that is active here, its signed values by position. score: what the ranking
    shows, see ``about["rankings"]``: an activation at ``peak``, or a mean or sum over the row.
    place: (partition, sequence, row) in the corpus. scale: the cluster's largest activation.
    duplicates: how many near-duplicates of it in the table are left out, if they are.
    """

    cluster: int
    ranking: str
    rank: int
    score: float
    peak: int
    sample: str
    document: str
    domain: str
    place: Place
    token_ids: tuple[int, ...]
    tokens: tuple[bytes, ...]
    activations: tuple[float, ...]
    members: Mapping[str, Mapping[int, float]]
    scale: float
    duplicates: int = 0

    @cached_property
    def text(self) -> str:
        """The text; bytes that are no whole character read as the replacement character."""
        return b"".join(self.tokens).decode(errors="replace")

    def _repr_html_(self) -> str:
        return shaded_html(self)


class Examples(Sequence[Example]):
    """The examples of a cluster, best first."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = tuple(examples)

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> "Examples": ...
    def __getitem__(self, at: int | slice) -> "Example | Examples":
        return Examples(self._examples[at]) if isinstance(at, slice) else self._examples[at]

    def __len__(self) -> int:
        return len(self._examples)

    def __repr__(self) -> str:
        return f"<{len(self)} examples>"

    def _repr_html_(self) -> str:
        return "".join(example._repr_html_() for example in self._examples)


def ends_of(ids: Sequence[int]) -> dict[str, int]:
    """Return where in a row a token may show as something else, by the vocabulary's column."""
    if len(ids) == 1:
        return {"alone": 0}
    return {"first": 0, "last": -1} if ids else {}


def read_examples(
    snapshot: ExampleSource, clusters: Sequence[int], ranking: str, most: int
) -> list[Example]:
    """Return the best examples of clusters, by cluster and rank.

    Raises SnapshotError if the snapshot lacks the text of one.
    """
    if not clusters:
        return []
    filters = [("cluster", "in", list(clusters)), ("ranking", "==", ranking), ("rank", "<", most)]
    hits = read_table(snapshot.manifest, "hits", filters=filters).to_pylist()
    samples = read_samples(snapshot, sorted({place_of(hit) for hit in hits}))
    order = sorted(hits, key=lambda hit: (hit["cluster"], hit["rank"]))
    return list(join_examples(snapshot, order, samples))


def fold_examples(examples: Sequence[Example]) -> list[Example]:
    """Return examples, best first, without near-duplicates of those before them.

    Each says how many it stands for: see ``near_duplicates``.
    """
    under = folded([example.token_ids for example in examples])
    counts = Counter(under)
    shown = (examples[at] for at, first in enumerate(under) if at == first)
    return [
        replace(example, duplicates=counts[at] - 1)
        for at, example in zip(sorted(counts), shown, strict=True)
    ]


def join_examples(
    snapshot: ExampleSource,
    hits: Iterable[Mapping[str, Any]],
    samples: Mapping[Place, Mapping[str, Any]],
) -> Iterator[Example]:
    """Yield the examples of hits: rows of the table of hits, and of samples by their place."""
    for hit in hits:
        sample = samples[place_of(hit)]
        ids = sample["ids"]
        at = dict(zip(hit["positions"], hit["activations"], strict=True))
        yield Example(
            cluster=hit["cluster"],
            ranking=hit["ranking"],
            rank=hit["rank"],
            score=hit["score"],
            peak=hit["peak"],
            sample=hit["sample"].hex(),
            document=sample["document"],
            domain=sample["domain"],
            place=place_of(hit),
            token_ids=tuple(ids),
            tokens=tuple(snapshot.row_bytes(ids)),
            activations=tuple(at.get(position, 0.0) for position in range(len(ids))),
            members=_members(hit, snapshot.members(hit["cluster"])),
            scale=snapshot.max_activation(hit["cluster"]),
        )


def _members(hit: Mapping[str, Any], labels: Sequence[str]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    columns = (hit[f"member_{name}"] for name in ("indices", "positions", "activations"))
    for member, position, value in zip(*columns, strict=True):
        found.setdefault(labels[member], {})[position] = value
    return found


def place_of(row: Mapping[str, Any]) -> Place:
    """Return the place of a row of hits or samples."""
    return row["partition"], row["sequence"], row["row"]


def read_samples(snapshot: ExampleSource, places: Sequence[Place]) -> dict[Place, dict[str, Any]]:
    """Return the samples at places; raises SnapshotError unless every one is there."""
    if not places:
        return {}
    filters = [
        [(name, "==", at) for name, at in zip(_PLACE, place, strict=True)] for place in places
    ]
    rows = read_table(snapshot.manifest, "samples", filters=filters).to_pylist()
    found = {place_of(row): row for row in rows}
    if absent := [place for place in places if place not in found]:
        raise SnapshotError(f"snapshot {snapshot.name!r} lacks the sample at {absent[0]}")
    return found
