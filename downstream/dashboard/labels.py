"""What people wrote about clusters, as it is now, and what programs call them, by cluster."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from downstream.rendering.made_labels import made_labels_of
from streams.arrays import Bool
from streams.errors import SnapshotError
from streams.snapshots.annotations import (
    Annotation,
    Annotations,
    ClusterAnnotations,
    entry_names,
    folded,
    read_entry,
)
from streams.snapshots.store import open_store


@dataclass(frozen=True)
class Marks:
    """What is written of the clusters of one clustering, by their place in it."""

    of: Mapping[int, ClusterAnnotations] = field(default_factory=lambda: MappingProxyType({}))

    def labelled(self, asked: str) -> list[int]:
        """Return the clusters whose written label holds a text, in any case; "" for any label."""
        wanted = asked.casefold()
        return [at for at, one in self.of.items() if one.label and wanted in one.label.casefold()]

    def starred(self) -> list[int]:
        """Return the clusters that somebody starred."""
        return [at for at, one in self.of.items() if one.stars]


def marks_of(written: Annotations, snapshot: LoadedSnapshot, clustering: LoadedClustering) -> Marks:
    """Return what is written of a clustering's clusters."""
    ours = {
        label: one
        for (name, iteration, label), one in written.now.items()
        if (name, iteration) == (clustering.name, clustering.iteration)
    }
    if not ours:
        return Marks()
    labels = snapshot.labels.slice(clustering.first, clustering.stop - clustering.first)
    places = pc.index_in(pa.array(list(ours), pa.string()), value_set=labels).to_pylist()
    found = zip(places, ours.values(), strict=True)
    return Marks(MappingProxyType({at: one for at, one in found if at is not None}))


def made_matches(snapshot: LoadedSnapshot, span: slice, asked: str) -> Bool:
    """Return of which clusters the label that a program made holds a text, in any case.

    A number is looked for in no such label: it is that of a feature.
    """
    made, found = made_labels_of(snapshot), np.zeros(span.stop - span.start, bool)
    if not asked or asked.isdecimal() or not len(made.texts):
        return found
    held = pc.match_substring(made.texts, asked, ignore_case=True).to_numpy(zero_copy_only=False)
    found[:] = np.r_[held, False][made.at[span]]
    return found


class LabelLog:
    """The annotations of one run in a store; every entry is read once."""

    def __init__(self, store: str, run: str) -> None:
        self._store = open_store(store)
        self._run = run
        self._entries: dict[str, Annotation | None] = {}
        self._now = Annotations()

    def now(self) -> Annotations:
        """Return what is written now; raises SnapshotError if the log cannot be listed."""
        names = entry_names(self._store, self._run)
        if names != list(self._entries):
            self._entries = {
                name: self._entries[name] if name in self._entries else self._read(name)
                for name in names
            }
            self._now = folded(one for one in self._entries.values() if one is not None)
        return self._now

    def _read(self, name: str) -> Annotation | None:
        try:
            found = read_entry(self._store, self._run, name)
        except (OSError, SnapshotError):
            return None
        return found if found.run == self._run else None


def json_lines(annotations: Annotations) -> Iterator[bytes]:
    """Yield the log as lines of JSON, oldest first."""
    for one in annotations.log:
        yield json.dumps(asdict(one), ensure_ascii=False).encode() + b"\n"
