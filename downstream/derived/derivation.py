"""What a kind of derived attachment is: made from a snapshot and weights, one file per kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from downstream.derived.dictionaries import Dictionary, Load
from downstream.derived.unembedding import Unembedding, find_unembedding
from downstream.reading.snapshot import Snapshot
from streams.arrays import AnyArray
from streams.errors import SnapshotError
from streams.snapshots.table_entry import find_entry
from streams.snapshots.tables import Column, TableForm

_NO_DIRECTIONS = ("neurons", "own")
"""Kinds of sources whose features are no directions that could be read from weights."""


def computed(name: str, kind: pa.DataType, description: str, unit: str = "") -> Column:
    """Return a column of numbers that are computed in float32."""
    return Column(name, kind, description, unit, "with error", "float32 arithmetic")


FEATURE_COLUMNS = (
    Column("feature", pa.int32(), "feature, as in `features`"),
    Column("source", pa.string(), "its source"),
    Column("index", pa.int32(), "its index in the source"),
)


Projection = Literal["pca", "umap"]


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen.

    k: entries per feature. bins: of a histogram. projection: to two dimensions, "pca" or "umap".
    """

    k: int = 10
    bins: int = 50
    projection: Projection = "pca"


@dataclass(frozen=True)
class Given:
    """What attachments are derived from; weights are read when they are first asked for.

    model: folder instead of the one that the run names. load: reads a source. others: dictionaries
    that are none of the run's, to compare with.
    """

    snapshot: Snapshot
    load: Load
    model: str | None = None
    others: Sequence[Dictionary] = ()

    @cached_property
    def dictionaries(self) -> tuple[Dictionary, ...]:
        """The run's sources that have directions, in the order of the run."""
        wanted = (s for s in self._sources if s.get("kind") not in _NO_DIRECTIONS)
        return tuple(self.load(source) for source in wanted)

    @property
    def neurons(self) -> Sequence[Mapping[str, Any]]:
        """The run's sources that are values of a hook as they are, as the manifest lists them."""
        return [source for source in self._sources if source.get("kind") == "neurons"]

    @cached_property
    def unembedding(self) -> Unembedding:
        """The unembedding of the run's model."""
        return find_unembedding(self.model or str(self.snapshot.about["model"]))

    @property
    def tokens(self) -> int:
        """How many token ids the run's vocabulary names; a model may have rows beyond them."""
        entry = find_entry(self.snapshot.manifest.tables, "vocabulary")
        if entry is None:
            raise SnapshotError("the snapshot has no vocabulary")
        return entry.rows

    def first_feature(self, source: str) -> int:
        """Return the number of a source's first feature in the run."""
        before = 0
        for each in self._sources:
            if each["name"] == source:
                return before
            before += int(each["components"])
        raise SnapshotError(f"the run has no source {source!r}")

    @property
    def _sources(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.snapshot.about["sources"]
        return found


@dataclass(frozen=True, slots=True)
class Derived:
    """Tables of an attachment, what they are from, and what was left out and why."""

    tables: Mapping[TableForm, pa.Table]
    provenance: Mapping[str, Any]
    left_out: Sequence[str] = field(default_factory=tuple)


class Derivation(Protocol):
    """A kind of attachment."""

    @property
    def kind(self) -> str:
        """Its name, which is that of a folder of the store, too."""

    @property
    def summary(self) -> str:
        """What it holds, in a few words."""

    @property
    def forms(self) -> tuple[TableForm, ...]:
        """Its tables."""

    def derive(self, given: Given, options: Options) -> Derived:
        """Return its tables; raises ModelError or SnapshotError in one line."""


def clustering_spans(given: Given) -> Iterator[tuple[str, slice]]:
    """Yield each clustering with the numbers of its clusters, which follow one another."""
    keys = given.snapshot.clusters.arrow.select(["clustering", "iteration"])
    names = list(zip(*(keys[name].to_pylist() for name in keys.column_names), strict=True))
    first = 0
    for at in range(1, len(names) + 1):
        if at == len(names) or names[at] != names[first]:
            yield names[first][0], slice(first, at)
            first = at


def feature_columns(given: Given, source: str, count: int) -> dict[str, pa.Array]:
    """Return the columns that name all features of a source."""
    index = np.arange(count, dtype=np.int32)
    return {
        "feature": pa.array(index + np.int32(given.first_feature(source))),
        "source": pa.array([source] * count, pa.string()),
        "index": pa.array(index),
    }


def list_column(values: AnyArray) -> pa.Array:
    """Return an array [row, entry] as a column of lists."""
    rows, entries = values.shape
    bounds = np.arange(0, rows * entries + 1, entries, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(bounds), pa.array(values.reshape(-1)))
