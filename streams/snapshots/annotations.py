"""What people write about clusters: labels, stars and notes, as a log that only grows.

An annotation belongs to (run, clustering, iteration, label), so that it outlives a snapshot. Each
is an entry of the log ``<run>/annotations`` (``entry_log``). The last word of an author on a
cluster holds; an empty text takes it back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Annotated, Literal

from annotated_types import MaxLen
from pydantic import TypeAdapter, ValidationError

from streams.bounds import Iteration, Label
from streams.errors import SnapshotError
from streams.names import Name
from streams.snapshots.entry_log import EntryLog
from streams.snapshots.store import Store
from streams.strict_json import JsonError, parse_json

VERSION = 2
FOLDER = "annotations"
_MOST_BYTES = 2**18

Kind = Literal["label", "star", "note"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that somebody wrote. at: ISO 8601, UTC. text: of a star, anything but nothing."""

    run: Name
    clustering: Label
    iteration: Iteration
    label: Label
    kind: Kind
    text: Annotated[str, MaxLen(2**16)]
    author: Label
    at: Label
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class ClusterAnnotations:
    """What holds of one cluster now. label: the newest of all authors', empty for none."""

    label: str = ""
    stars: tuple[str, ...] = ()
    notes: tuple[Annotation, ...] = ()


Target = tuple[str, int, str]
"""Clustering, iteration and label of a cluster."""


@dataclass(frozen=True)
class Annotations:
    """A run's log, oldest first, and what holds now."""

    log: tuple[Annotation, ...] = ()
    now: Mapping[Target, ClusterAnnotations] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, clustering: str, iteration: int, label: str) -> ClusterAnnotations:
        """Return what holds of a cluster."""
        return self.now.get((clustering, iteration, label), ClusterAnnotations())


def folded(log: Iterable[Annotation]) -> Annotations:
    """Return a log in the order of its times with what holds at its end."""
    ordered = tuple(sorted(log, key=lambda one: (one.at, one.author, one.kind, one.text)))
    last: dict[Target, dict[tuple[str, str], Annotation]] = {}
    for one in ordered:
        told = last.setdefault((one.clustering, one.iteration, one.label), {})
        told.pop((one.kind, one.author), None)
        if one.text:
            told[one.kind, one.author] = one
    now = {target: _of_cluster(tuple(told.values())) for target, told in last.items() if told}
    return Annotations(ordered, MappingProxyType(now))


def _of_cluster(told: tuple[Annotation, ...]) -> ClusterAnnotations:
    labels = [one.text for one in told if one.kind == "label"]
    return ClusterAnnotations(
        label=labels[-1] if labels else "",
        stars=tuple(one.author for one in told if one.kind == "star"),
        notes=tuple(one for one in told if one.kind == "note"),
    )


def write_annotation(store: Store, annotation: Annotation) -> str:
    """Add an annotation to its run's log and return its path; writing it again changes nothing.

    Raises SnapshotError if it holds what it may not, or its time is no ISO 8601 with an offset.
    """
    data = _adapter().dump_json(annotation)
    checked = _parsed(data)
    return _log(store, checked.run).add(checked.at, data)


def read_annotations(store: Store, run: str) -> Annotations:
    """Return what people wrote about a run; entries that cannot be read are passed over.

    Raises SnapshotError if the log cannot be listed.
    """
    return folded(one for one in _entries(store, run) if one.run == run)


def entry_names(store: Store, run: str) -> list[str]:
    """Return the names of the entries of a run's log, oldest first.

    Raises SnapshotError if the log cannot be listed.
    """
    return _log(store, run).names()


def read_entry(store: Store, run: str, name: str) -> Annotation:
    """Return an entry of a run's log; raises OSError or SnapshotError if it cannot be read."""
    return _parsed(_log(store, run).read(name))


def _entries(store: Store, run: str) -> Iterator[Annotation]:
    for name in entry_names(store, run):
        try:
            yield read_entry(store, run, name)
        except (OSError, SnapshotError):
            continue


def _log(store: Store, run: str) -> EntryLog:
    return EntryLog(store, (run, FOLDER))


def _parsed(data: bytes) -> Annotation:
    try:
        parse_json(data, _MOST_BYTES)
        found = _adapter().validate_json(data, strict=True)
    except JsonError as error:
        raise SnapshotError(f"unreadable annotation: it {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise SnapshotError(f"unreadable annotation: {where}: {first['msg']}") from error
    if found.version != VERSION:
        raise SnapshotError(f"an annotation of version {found.version}, this program has {VERSION}")
    return found


@cache
def _adapter() -> TypeAdapter[Annotation]:
    return TypeAdapter(Annotation)
