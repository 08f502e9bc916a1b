"""Cluster files, as ``millrace run`` takes them: one per iteration of a clustering."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from downstream.derived.clusterings.merge_tree import MergeTree
from streams.errors import ModelError
from streams.names import check_name


def labelled(tree: MergeTree, merges: int, least: int = 2) -> dict[str, list[str]]:
    """Return the clusters after so many merges, each labelled by the first of its components.

    A cluster keeps its label while it grows. least: smaller clusters are left out.
    """
    found = {}
    for members in tree.clusters_after(merges):
        if len(members) >= least:
            labels = [tree.labels[member] for member in members]
            found[labels[0]] = labels
    return found


def write_cluster_file(
    folder: Path, name: str, iteration: int, clusters: Mapping[str, Sequence[str]]
) -> Path:
    """Write a cluster file and return its path, ``<name>-<iteration>.json``.

    Raises SettingsError for a name that no clustering can have, ModelError for no clusters.
    """
    check_name(name, "clustering")
    if not clusters:
        raise ModelError(f"clustering {name}, iteration {iteration}, has no cluster of that size")
    document = {"name": name, "iteration": iteration, "clusters": clusters}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{iteration}.json"
    path.write_text(json.dumps(document, indent=1))
    return path
