"""Clusterings against SciPy's own cuts, and cluster files against the reader of runs."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from consumers.runs.clusters import load_clustering
from downstream.derived.clusterings.cluster_file import labelled, write_cluster_file
from downstream.derived.clusterings.linkage import METHODS, cluster_directions, cluster_pairs
from downstream.derived.clusterings.merge_history import History, read_merges, source_names
from downstream.derived.clusterings.merge_tree import MergeTree
from streams.errors import ModelError, SettingsError
from tests import factories


def directions(features: int, seed: int = 0):
    return np.random.default_rng(seed).standard_normal((features, 6)).astype(np.float32)


def labels(count: int) -> list[str]:
    return [f"sae:{n}" for n in range(count)]


def as_sets(clusters) -> set[frozenset[int]]:
    return {frozenset(members) for members in clusters}


def groups_of(assignment) -> set[frozenset[int]]:
    return as_sets(np.flatnonzero(assignment == each) for each in np.unique(assignment))


@pytest.mark.parametrize("method", METHODS)
def test_cuts_are_those_of_scipy(method):
    points = directions(40)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    tree = cluster_directions(points, labels(40), method)
    plain = linkage(pdist(units, "euclidean" if method == "ward" else "cosine"), method)
    for clusters in (1, 3, 17, 39, 40):
        cut = groups_of(fcluster(plain, clusters, "maxclust"))
        assert as_sets(tree.clusters_after(tree.merges_for(clusters))) == cut


@given(st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_merge_joins_two_clusters_and_leaves_the_others(count, chance):
    left, merges = list(range(count)), []
    for number in range(chance.randrange(count)):
        merges.append([left.pop(chance.randrange(len(left))) for _ in "ab"])
        left.append(count + number)
    tree = MergeTree(labels(count), np.array(merges, np.int64).reshape(-1, 2))
    sets = {n: frozenset([n]) for n in range(count)}
    for number in range(len(merges) + 1):
        assert as_sets(tree.clusters_after(number)) == set(sets.values())
        assert [c[0] for c in tree.clusters_after(number)] == sorted(map(min, sets.values()))
        if number < len(merges):
            a, b = merges[number]
            sets[count + number] = sets.pop(a) | sets.pop(b)


def test_many_features_are_grouped_first_and_the_groups_are_joined():
    centres = directions(4, seed=1) * 50
    points = np.concatenate([centre + directions(30, seed=n) for n, centre in enumerate(centres)])
    tree = cluster_directions(points, labels(120), most_paired=100, groups=12)
    blobs = {frozenset(range(30 * n, 30 * n + 30)) for n in range(4)}
    assert as_sets(tree.clusters_after(tree.merges_for(4))) == blobs
    finest = tree.clusters_after(tree.least)
    assert 4 < len(finest) <= 12
    assert as_sets(
        cluster_directions(points, labels(120), most_paired=100, groups=12).clusters_after(
            tree.least
        )
    ) == as_sets(finest)
    with pytest.raises(SettingsError, match="clusters of these 120 features, not 50"):
        tree.merges_for(50)


def test_pairs_that_fire_together_are_clustered_by_their_jaccard_index():
    fires = np.random.default_rng(0).random((8, 60)) < 0.3
    both = fires.astype(int) @ fires.T.astype(int)
    first, second = np.nonzero(np.triu(both, 1))
    tree = cluster_pairs(
        fires.sum(axis=1), second, first, both[first, second], labels(8), "average"
    )
    plain = linkage(pdist(fires, "jaccard"), "average")
    for clusters in (2, 3, 5):
        cut = groups_of(fcluster(plain, clusters, "maxclust"))
        assert as_sets(tree.clusters_after(tree.merges_for(clusters))) == cut


def test_a_cluster_keeps_its_label_while_it_grows_and_small_ones_are_left_out(tmp_path):
    tree = MergeTree(labels(5), np.array([[3, 1], [5, 4], [0, 6]]))
    assert labelled(tree, 1) == {"sae:1": ["sae:1", "sae:3"]}
    assert labelled(tree, 2) == {"sae:1": ["sae:1", "sae:3", "sae:4"]}
    assert list(labelled(tree, 2, least=1)) == ["sae:0", "sae:1", "sae:2"]
    path = write_cluster_file(tmp_path / "new", "mine", 2, labelled(tree, 2))
    made = load_clustering(str(path), [factories.source(components=5)])
    assert (made.name, made.iteration, made.labels) == ("mine", 2, ("sae:1",))
    assert made.index.tolist() == [1, 3, 4]
    with pytest.raises(ModelError, match="has no cluster of that size"):
        write_cluster_file(tmp_path, "mine", 0, labelled(tree, 0))


@pytest.mark.parametrize("count", [-1, 3])
def test_merges_that_are_not_there_are_refused(count):
    with pytest.raises(SettingsError, match="only after 0 to 2"):
        MergeTree(labels(3), np.array([[0, 1], [2, 3]])).clusters_after(count)


def read(tmp_path, document):
    file = tmp_path / "history.json"
    file.write_text(json.dumps(document))
    return read_merges(file)


def test_a_mapping_of_spd_is_read(tmp_path):
    clusters = {"h.0.mlp.c_fc:1": 4, "h.0.mlp.c_fc:2": None, "h.1.attn.q_proj:7": 4, "embed:0": 0}
    document = {"clustering_run_id": "cr-1", "notes": "", "spd_run": "a/b/c", "clusters": clusters}
    found = read(tmp_path, document | {"iteration": 299})
    assert (found.name, found.iteration) == ("cr-1", 299)
    assert found.clusters == {"4": ["h.0.mlp.c_fc:1", "h.1.attn.q_proj:7"], "0": ["embed:0"]}
    renamed = source_names(found.clusters["4"], {"h.1.attn.q_proj": "q"})
    assert renamed == ["h-0-mlp-c_fc:1", "q:7"]


def test_a_history_is_read(tmp_path):
    found = read(tmp_path, {"labels": ["a.b:0", "a.b:1", "a.b:2"], "merges": [[0, 2], [3, 1]]})
    assert isinstance(found, History)
    assert (found.name, found.tree.clusters_after(1)) == ("history", [[0, 2], [1]])


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ([], "neither a history, with merges, nor a mapping"),
        ({"labels": [], "merges": []}, "has no labels"),
        ({"labels": ["a:0", "a:0"], "merges": []}, "has a label twice"),
        ({"labels": ["a"], "merges": []}, "which does not read module:index"),
        ({"labels": ["a:0", "a:1"], "merges": [[0, 2]]}, "merge 0 .*no pair before it"),
        ({"labels": ["a:0", "a:1"], "merges": [[0, 0]]}, "once more"),
        ({"labels": ["a:0", "a:1", "a:2"], "merges": [[0, 1], [0, 2]]}, "merge 1 .*once more"),
        ({"labels": ["a:0", "a:1"], "merges": [[0, True]]}, "no pair before it"),
        ({"labels": ["a:0", "a:1"], "merges": 3}, "no pair before it"),
        ({"clusters": {"a:0": "x"}}, "in cluster 'x', which is no number"),
        ({"clusters": {"a:0": 1}, "iteration": -1}, "has the iteration -1"),
    ],
)
def test_what_is_no_clustering_is_refused_with_the_place(tmp_path, document, line):
    with pytest.raises(ModelError, match=line):
        read(tmp_path, document)
