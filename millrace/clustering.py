"""Cluster files made at the command line, and a line for each that was written."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from downstream.derived.clusterings.cluster_file import labelled, write_cluster_file
from downstream.derived.clusterings.linkage import Method, cluster_directions, cluster_pairs
from downstream.derived.clusterings.merge_history import (
    ClusterMapping,
    History,
    read_merges,
    source_names,
)
from downstream.derived.clusterings.merge_tree import MergeTree
from downstream.derived.clusterings.spd_history import is_zip, read_spd_history
from downstream.reading.snapshot import Snapshot, open_snapshot
from millrace.dictionary_loading import other_dictionary
from streams.errors import ModelError, SettingsError, SnapshotError
from streams.names import check_name


def by_directions(
    dictionary: str,
    *,
    source: str,
    encoder: bool,
    counts: Sequence[int],
    method: Method,
    out: str,
    name: str | None,
    min_size: int,
) -> list[str]:
    """Write the clusterings of a dictionary's directions; raises UserError in one line."""
    loaded = other_dictionary(check_name(source, "source"), dictionary)
    which = "encoder" if encoder else "decoder"
    directions = loaded.encoder if encoder else loaded.decoder
    if directions is None:
        raise ModelError(f"{dictionary} has no {which} directions")
    labels = [f"{source}:{index}" for index in range(len(directions))]
    tree = cluster_directions(directions, labels, method)
    return _cuts(tree, counts, out, name or f"{which}-{method}", min_size)


def by_coactivation(
    snapshot: str,
    *,
    run_name: str | None,
    source: str | None,
    counts: Sequence[int],
    method: Method,
    out: str,
    name: str | None,
    min_size: int,
) -> list[str]:
    """Write the clusterings of a source's features by co-activation; raises UserError."""
    opened = open_snapshot(snapshot, run_name)
    chosen = _source(opened, source)
    clusters = opened.clusters.arrow.to_pandas()
    ours = clusters[clusters["clustering"] == f"features/{chosen}"]
    if not len(ours) or not ours["coactivation_counted"].all():
        raise SnapshotError(
            f"the run does not count the co-activation of the features of {chosen}: set "
            "coactivation = true for it"
        )
    alive = ours[ours["firing_tokens"] > 0]
    numbers = alive["cluster"].to_numpy()
    pairs = opened.table("coactivation").arrow
    first, second, both = (pairs[n].to_numpy() for n in ("cluster_a", "cluster_b", "tokens"))
    of_ours = np.isin(first, numbers) & np.isin(second, numbers)
    tree = cluster_pairs(
        alive["firing_tokens"].to_numpy(),
        np.searchsorted(numbers, first[of_ours]),
        np.searchsorted(numbers, second[of_ours]),
        both[of_ours],
        [f"{chosen}:{label}" for label in alive["label"]],
        method,
    )
    return _cuts(tree, counts, out, name or f"coactivation-{method}", min_size)


def by_merges(
    file: Path,
    *,
    iterations: Sequence[int],
    sources: Sequence[str],
    out: str,
    name: str | None,
    min_size: int,
) -> list[str]:
    """Write the clusterings that another tool's file holds; raises UserError in one line."""
    renamed = _renamed(sources)
    if is_zip(file):
        cuts = read_spd_history(file, iterations)
        called = name or _usable(cuts[0].name)
        # What is wrong with a later one is known before the first is written.
        kept = [(cut.iteration, _renamed_clusters(cut, renamed, min_size)) for cut in cuts]
        return [_written(out, called, iteration, clusters) for iteration, clusters in kept]
    found = read_merges(file)
    called = name or _usable(found.name)
    if isinstance(found, History):
        labels = source_names(list(found.tree.labels), renamed)
        tree = MergeTree(labels, found.tree.merges)
        wanted = iterations or [len(tree.merges)]
        return [_written(out, called, each, labelled(tree, each, min_size)) for each in wanted]
    if iterations and list(iterations) != [found.iteration]:
        raise SettingsError(f"{file} holds iteration {found.iteration} alone")
    return [_written(out, called, found.iteration, _renamed_clusters(found, renamed, min_size))]


def _renamed_clusters(
    found: ClusterMapping, renamed: Mapping[str, str], min_size: int
) -> dict[str, list[str]]:
    """Return the clusters of at least so many components, with the names of sources."""
    return {
        label: source_names(members, renamed)
        for label, members in found.clusters.items()
        if len(members) >= min_size
    }


def _cuts(tree: MergeTree, counts: Sequence[int], out: str, name: str, min_size: int) -> list[str]:
    wanted = [tree.merges_for(count) for count in counts]  # before anything is written
    return [_written(out, name, merges, labelled(tree, merges, min_size)) for merges in wanted]


def _written(out: str, name: str, iteration: int, clusters: Mapping[str, Sequence[str]]) -> str:
    path = write_cluster_file(Path(out), name, iteration, clusters)
    features = sum(map(len, clusters.values()))
    return f"{path}: {len(clusters):,} clusters of {features:,} features"


def _source(snapshot: Snapshot, wanted: str | None) -> str:
    names = [str(source["name"]) for source in snapshot.about["sources"]]
    chosen = names[0] if wanted is None and len(names) == 1 else wanted
    if chosen not in names:
        raise SettingsError(f"say which --source, one of {', '.join(names)}")
    return chosen


def _renamed(sources: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in sources:
        module, equals, name = each.rpartition("=")
        if not equals or not module:
            raise SettingsError(f"--source {each}: write MODULE=SOURCE")
        found[module] = check_name(name, "source")
    return found


def _usable(name: str) -> str:
    """Return a name that a clustering can have, from another tool's."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return kept.strip("-")[:80]
