"""Clusterings of other tools: SPD's cluster mapping, and a history of merges, both JSON.

A mapping is what SPD's ``get_cluster_mapping`` writes, a component's cluster at one iteration:

    {"clustering_run_id": ..., "iteration": 299, "clusters": {"h.0.mlp.c_fc:1": 0, ...: null}}

null is a component alone. A history names every merge, so that any iteration can be cut from it:

    {"name": ..., "labels": ["h.0.mlp.c_fc:1", ...], "merges": [[0, 3], [1, 7], ...]}

with clusters numbered as SciPy does: below the number of labels a label alone, above, that plus i
for what merge i made. Labels read ``module:index``; dots of a module become ``-`` in the name of
its source.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from downstream.derived.clusterings.merge_tree import MergeTree
from streams.bounds import MAX_CLUSTERS, shown
from streams.errors import ModelError
from streams.regular_files import read_bounded
from streams.strict_json import JsonError, parse_json

_MOST_BYTES = 512 * 2**20
_LABEL = re.compile(r"[^:]+(?::[^:]+)*:\d{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterMapping:
    """One iteration of a clustering: the components of each cluster, by its label."""

    name: str
    iteration: int
    clusters: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A whole history of merges. name: of the clustering."""

    name: str
    tree: MergeTree


def read_merges(path: Path) -> ClusterMapping | History:
    """Return what a file of another tool holds; raises ModelError that names file and place."""
    try:
        document = parse_json(read_bounded(path, _MOST_BYTES), _MOST_BYTES)
        if isinstance(document, dict) and "merges" in document:
            return _history(document, path.stem)
        if isinstance(document, dict) and isinstance(document.get("clusters"), dict):
            return _mapping(document, path.stem)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except (JsonError, ValueError) as error:
        raise ModelError(f"{path} {error}") from error
    raise ModelError(f"{path} is neither a history, with merges, nor a mapping, with clusters")


def source_names(labels: list[str], renamed: Mapping[str, str]) -> list[str]:
    """Return labels with the names of sources in place of modules: ``h-0-mlp-c_fc:1``.

    renamed: sources by module, where a run calls them otherwise.
    """
    found = []
    for label in labels:
        module, _, index = label.rpartition(":")
        found.append(f"{renamed.get(module, module.replace('.', '-').lower())}:{index}")
    return found


def _history(document: dict[str, Any], stem: str) -> History:
    labels = document.get("labels")
    if not isinstance(labels, list) or not 0 < len(labels) <= MAX_CLUSTERS:
        raise ValueError("has no labels")
    check_labels(labels)
    merges = document["merges"]
    count = len(labels)
    seen: set[int] = set()
    for number, pair in enumerate(merges if isinstance(merges, list) else [None]):
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)
        if not whole or not all(0 <= each < count + number for each in pair):
            raise ValueError(f"has merge {number:,} {shown(pair)}, which is no pair before it")
        if seen & set(pair) or pair[0] == pair[1]:
            raise ValueError(f"joins a cluster in merge {number:,} {shown(pair)} once more")
        seen |= set(pair)
    array = np.array(merges, np.int64).reshape(-1, 2)
    return History(_name(document.get("name"), stem), MergeTree(labels, array))


def _mapping(document: dict[str, Any], stem: str) -> ClusterMapping:
    clusters: dict[str, list[str]] = {}
    check_labels(list(document["clusters"]))
    for label, number in document["clusters"].items():
        if number is None:
            continue
        if type(number) is not int or number < 0:
            raise ValueError(f"has {label!r} in cluster {shown(number)}, which is no number")
        clusters.setdefault(str(number), []).append(label)
    iteration = document.get("iteration", 0)
    if type(iteration) is not int or not 0 <= iteration < 2**31:
        raise ValueError(f"has the iteration {shown(iteration)}")
    return ClusterMapping(_name(document.get("clustering_run_id"), stem), iteration, clusters)


def check_labels(labels: list[Any]) -> None:
    """Raise ValueError unless all labels read module:index, each one once."""
    for label in labels:
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            raise ValueError(f"has the label {shown(label)}, which does not read module:index")
    if len(set(labels)) < len(labels):
        raise ValueError("has a label twice")


def _name(given: Any, stem: str) -> str:
    return given if isinstance(given, str) and given else stem
