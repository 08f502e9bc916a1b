"""Cluster files: JSON that names sets of components."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from consumers.runs.specs import Coactivation, coactivates
from streams.bounds import MAX_CLUSTERS, MAX_LABEL, shown
from streams.errors import ModelError, SettingsError
from streams.names import check_name
from streams.records.runs import Clustering, Source
from streams.regular_files import read_bounded
from streams.strict_json import JsonError, parse_json

_MOST_BYTES = 128 * 2**20
_LONGEST_INDEX = 19
_KEYS = {"name", "iteration", "clusters"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a file we are, for messages."""

    path: Path
    cluster: str = ""

    def wrong(self, what: str) -> ModelError:
        at = f"cluster file {self.path}"
        if self.cluster:
            at += f", cluster {shown(self.cluster)}"
        return ModelError(f"{at}: {what}")


def load_clustering(
    path: str, sources: Sequence[Source], coactivation: Coactivation = "auto"
) -> Clustering:
    """Return the clustering of a file, with the sources' numbers in place of their names.

    The file is ``{"name": ..., "iteration": 0, "clusters": {"id": ["source:index", ...]}}`` or the
    bare map of clusters, which is then named like the file. Clusters may overlap. Raises ModelError
    that names file, cluster and label for anything else.
    """
    place = _Place(Path(path))
    document = _read(place)
    name, iteration, clusters = _parts(document, place)
    numbers = {source.name: number for number, source in enumerate(sources)}
    members: list[tuple[int, int]] = []
    sizes: list[int] = []
    for cluster, labels in clusters.items():
        listed = _members(labels, numbers, sources, _Place(place.path, cluster))
        members += listed
        sizes.append(len(listed))
    pairs = np.asarray(members, np.int32).reshape(-1, 2)
    return Clustering(
        name=name,
        iteration=iteration,
        content=_content(name, iteration, clusters),
        labels=tuple(clusters),
        sizes=np.asarray(sizes, np.int32),
        source=np.ascontiguousarray(pairs[:, 0]),
        index=np.ascontiguousarray(pairs[:, 1]),
        coactivation=coactivates(coactivation, len(sizes)),
    )


def _read(place: _Place) -> dict[str, Any]:
    try:
        document = parse_json(read_bounded(place.path, _MOST_BYTES), _MOST_BYTES)
    except OSError as error:
        raise place.wrong(error.strerror or "cannot be read") from error
    except JsonError as error:
        raise place.wrong(str(error)) from error
    if not isinstance(document, dict):
        raise place.wrong("holds no map of clusters")
    return document


def _parts(document: dict[str, Any], place: _Place) -> tuple[str, int, dict[str, Any]]:
    """Return name, iteration and the map of clusters."""
    whole = isinstance(document.get("clusters"), dict)
    clusters = document["clusters"] if whole else document
    name = document.get("name", place.path.stem) if whole else place.path.stem
    iteration = document.get("iteration", 0) if whole else 0
    if whole and (extra := sorted(document.keys() - _KEYS)):
        raise place.wrong(f"unknown key {shown(extra[0])}: known are name, iteration and clusters")
    if type(iteration) is not int or not 0 <= iteration < 2**31:
        raise place.wrong(f"iteration {shown(iteration)} is no whole number from 0 to 2**31 - 1")
    if not isinstance(name, str):
        raise place.wrong(f"name {shown(name)} is no text")
    if not clusters:
        raise place.wrong("has no clusters")
    if len(clusters) > MAX_CLUSTERS:
        raise place.wrong(f"has {len(clusters):,} clusters, more than {MAX_CLUSTERS:,}")
    if long := next((label for label in clusters if len(label) > MAX_LABEL), None):
        raise place.wrong(f"has a label of {len(long):,} characters, more than {MAX_LABEL:,}")
    try:
        return check_name(name, "clustering"), iteration, clusters
    except SettingsError as error:
        raise place.wrong(str(error)) from error


def _members(
    labels: Any, numbers: dict[str, int], sources: Sequence[Source], place: _Place
) -> list[tuple[int, int]]:
    """Return (source number, index) of each label of a cluster."""
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise place.wrong('is no list of "source:index" labels')
    if not labels:
        raise place.wrong("has no components")
    found: dict[tuple[int, int], str] = {}
    for label in labels:
        member = _member(label, numbers, sources, place)
        if member in found:
            raise place.wrong(f"component {shown(label)} is repeated")
        found[member] = label
    return list(found)


def _member(
    label: str, numbers: dict[str, int], sources: Sequence[Source], place: _Place
) -> tuple[int, int]:
    name, _, index = label.rpartition(":")
    if not name or not (index.isascii() and index.isdigit()):
        raise place.wrong(f"component {shown(label)} does not read source:index")
    if name not in numbers:
        known = ", ".join(numbers)
        raise place.wrong(f"component {shown(label)} names an unknown source; known are {known}")
    number = numbers[name]
    if len(index) > _LONGEST_INDEX or int(index) >= sources[number].components:
        raise place.wrong(
            f"component {shown(label)} does not exist: {name} has {sources[number].components}"
        )
    return number, int(index)


def _content(name: str, iteration: int, clusters: dict[str, Any]) -> str:
    text = json.dumps([name, iteration, list(clusters.items())])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
