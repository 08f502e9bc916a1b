"""A snapshot in memory: what every page needs. Most of its hits stay on disk (see contexts.py)."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.reading.examples import ends_of
from downstream.rendering.cluster_pairs import ClusterPairs, read_cluster_pairs
from downstream.rendering.example_index import ExampleIndex
from downstream.rendering.row_groups import RowGroups
from downstream.rendering.stored_text import StoredText
from downstream.rendering.text_index import TextIndex
from streams.arrays import F32, F64, I64, AnyArray, Bool
from streams.snapshots.about import ranking_names
from streams.snapshots.manifests import RunManifest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadedClustering:
    """A clustering's place among all clusters: numbers first to stop - 1."""

    name: str
    iteration: int
    first: int
    stop: int

    @property
    def noun(self) -> str:
        """What one of its clusters is called."""
        return "feature" if self.name.startswith("features/") else "cluster"


@dataclass(frozen=True, eq=False)
class LoadedSnapshot:
    """One snapshot, opened. Arrays have one entry per cluster, in the order of their numbers.

    member_first [cluster + 1] and member: the members of each cluster, as numbers into
    member_names. vocabulary: the bytes of each token id. token_forms: those of ids that show as
    something else "first" or "last" in a row, or "alone". absent: optional tables that it lacks,
    and columns as "table.column"; what they would say is NaN, 0 or empty here.
    member_pairs: where co-activation of members is read, None if the table is not there.
    """

    manifest: RunManifest
    absent: tuple[str, ...]
    clusterings: tuple[LoadedClustering, ...]
    labels: pa.StringArray
    dropped: "pa.ListArray[Any]"
    firing_tokens: I64
    firing_rows: I64
    densities: F64
    means: F64
    low: F32
    high: F32
    histogram: AnyArray
    pairs_counted: Bool
    coactivation_counted: Bool
    member_first: I64
    member: I64
    member_names: list[str]
    features: pa.Table
    tokens: int
    rows: int
    refused: int
    vocabulary: dict[int, bytes]
    token_forms: dict[str, dict[int, bytes]]
    text: StoredText
    examples: ExampleIndex
    member_pairs: RowGroups | None

    @property
    def name(self) -> str:
        """The snapshot's name."""
        return self.manifest.snapshot

    @property
    def about(self) -> dict[str, Any]:
        """The run record for people."""
        return self.manifest.about

    @property
    def edges(self) -> list[float]:
        """Lower edges of the histogram bins."""
        return [float(edge) for edge in self.about["edges"]]

    @property
    def rankings(self) -> list[str]:
        """What the top tables are ranked by."""
        return ranking_names(self.about)

    def ranking(self, name: str) -> Mapping[str, Any]:
        """Return what the run says of a ranking: its ``k`` and ``meaning``, as far as it does."""
        listed = self.about.get("rankings", {}).items()
        return next((each for key, each in listed if key.partition("@")[0] == name), {})

    @cached_property
    def text_index(self) -> TextIndex:
        """Full text over its contexts, which begins to be made when it is first asked for."""
        text, row_bytes = self.text, self.row_bytes
        rows = range(len(text))
        return TextIndex(
            lambda: (b"".join(row_bytes(text.row(row))).decode(errors="replace") for row in rows)
        )

    @cached_property
    def pairs(self) -> ClusterPairs:
        """Pairs of co-activating clusters, read when they are first asked for."""
        return read_cluster_pairs(self.manifest)

    @cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` makes, which is kept under a key as long as the snapshot."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    @cached_property
    def sizes(self) -> I64:
        """Members per cluster."""
        return np.diff(self.member_first)

    @cached_property
    def _holders(self) -> tuple[I64, I64]:
        """Clusters by member: bounds [member + 1] and cluster numbers."""
        cluster = np.repeat(np.arange(len(self.sizes)), self.sizes)
        counts = np.bincount(self.member, minlength=len(self.member_names))
        return np.r_[0, np.cumsum(counts)], cluster[np.argsort(self.member, kind="stable")]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.member_names)}

    def members(self, cluster: int) -> list[str]:
        """Return the labels of a cluster's live members."""
        first, stop = self.member_first[cluster], self.member_first[cluster + 1]
        return [self.member_names[number] for number in self.member[first:stop]]

    def max_activation(self, cluster: int) -> float:
        """Return a cluster's largest activation."""
        return float(self.high[cluster])

    def row_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return what each token of a row shows, as the tokenizer decodes the row."""
        return self.part_bytes(ids, 0, len(ids))

    def part_bytes(self, ids: Sequence[int], start: int, stop: int) -> list[bytes]:
        """Return what the tokens ``start`` to ``stop`` - 1 of a row show."""
        known = self.vocabulary
        found = [known[i] if i in known else f"⟨id {i}⟩".encode() for i in ids[start:stop]]
        for place, at in ends_of(ids).items():
            at %= len(ids)
            if start <= at < stop:
                forms = self.token_forms.get(place, {})
                found[at - start] = forms.get(ids[at], found[at - start])
        return found

    def label(self, cluster: int) -> str:
        """Return a cluster's label."""
        return str(self.labels[cluster].as_py())

    def clustering_of(self, cluster: int) -> LoadedClustering:
        """Return the clustering that a cluster belongs to."""
        return next(c for c in self.clusterings if c.first <= cluster < c.stop)

    def clustering(self, name: str, iteration: int) -> LoadedClustering | None:
        """Return the clustering of that name and iteration, if there is one."""
        found = (c for c in self.clusterings if (c.name, c.iteration) == (name, iteration))
        return next(found, None)

    def find(self, clustering: LoadedClustering, label: str) -> int | None:
        """Return the number of a clustering's cluster by its label."""
        part = self.labels.slice(clustering.first, clustering.stop - clustering.first)
        found = pc.index(part, pa.scalar(label)).as_py()
        return None if found < 0 else clustering.first + int(found)

    def holders(self, component: str) -> list[int]:
        """Return the clusters that a component is a member of."""
        number = self._numbers.get(component)
        if number is None:
            return []
        bounds, clusters = self._holders
        return [int(c) for c in clusters[bounds[number] : bounds[number + 1]]]

    def status(self, cluster: int) -> str:
        """Say whether a cluster fires, never fired, or has no member left."""
        if not self.sizes[cluster]:
            return "empty"
        return "fires" if self.firing_tokens[cluster] else "dead"
