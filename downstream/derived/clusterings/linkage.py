"""Hierarchical clustering by SciPy: of directions by cosine, of pairs by how often they co-fire.

SciPy's linkage keeps a number for every pair twice: 2 GiB for 16,384 features, 32 GiB for 65,536.
So more than 16,384 directions are put into 4,096 groups by SciPy's k-means first, and the groups
are joined.
"""

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np

from downstream.derived.clusterings.merge_tree import MergeTree
from downstream.derived.dictionaries import units
from downstream.derived.largest import row_blocks
from streams.arrays import F32, F64, I64
from streams.errors import SettingsError

Method = Literal["average", "complete", "single", "ward"]
METHODS: tuple[Method, ...] = ("average", "complete", "single", "ward")
MOST_PAIRED = 2**14
GROUPS = 2**12
_ROUNDS = 10


def cluster_directions(
    directions: F32,
    labels: Sequence[str],
    method: Method = "average",
    *,
    most_paired: int = MOST_PAIRED,
    groups: int = GROUPS,
) -> MergeTree:
    """Return the merges of features [feature, width] by 1 - cosine (``ward``: by distance).

    Beyond ``most_paired`` features, the merges within ``groups`` of k-means come first, as one
    step. Raises SettingsError for fewer than two features.
    """
    points = units(directions)
    if len(points) <= most_paired:
        return _tree(labels, _distances(points, method), method)
    from scipy.cluster.vq import kmeans2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty group, which is left out below
        centres, group = kmeans2(points, groups, iter=_ROUNDS, minit="points", seed=0)
    found, group = np.unique(group, return_inverse=True)
    inner = [np.flatnonzero(group == each) for each in range(len(found))]
    merges, tops = _chained(inner, len(points))
    upper = _tree(range(len(found)), _distances(units(centres[found]), method), method).merges  # type: ignore[arg-type]
    # Below len(found) a number stands for a group, above for a merge of groups.
    numbers = np.concatenate([tops, len(points) + len(merges) + np.arange(len(upper))])
    return MergeTree(labels, np.concatenate([merges, numbers[upper]]), least=len(merges))


def cluster_pairs(
    firing: I64, first: I64, second: I64, both: I64, labels: Sequence[str], method: Method
) -> MergeTree:
    """Return the merges of features by 1 - Jaccard index of the tokens at which they fire.

    firing: tokens [feature]. first, second, both: pairs that co-fire, by their places in labels,
    and their tokens; others never do. Raises SettingsError for fewer than two features, or more
    than SciPy has memory for.
    """
    count = len(labels)
    if count > MOST_PAIRED:
        raise SettingsError(
            f"{count:,} features are too many to cluster by co-activation; up to {MOST_PAIRED:,} "
            "can be"
        )
    distances = np.ones(count * (count - 1) // 2)
    union = np.maximum(firing[first] + firing[second] - both, 1)
    low, high = np.minimum(first, second), np.maximum(first, second)
    distances[count * low - low * (low + 1) // 2 + high - low - 1] = 1 - both / union
    return _tree(labels, np.sqrt(2 * distances) if method == "ward" else distances, method)


def _tree(labels: Sequence[str], distances: F64, method: Method) -> MergeTree:
    from scipy.cluster.hierarchy import linkage

    if len(labels) < 2:
        raise SettingsError(f"{len(labels)} features are too few to cluster")
    return MergeTree(labels, linkage(distances, method)[:, :2].astype(np.int64))


def _distances(points: F32, method: Method) -> F64:
    """Return the distance of every pair of points of length 1, in SciPy's condensed order."""
    count = len(points)
    found = np.empty(count * (count - 1) // 2)
    at = 0
    for block in row_blocks(count, count):
        for row, cosines in zip(range(count)[block], points[block] @ points.T, strict=True):
            part = 1 - np.clip(cosines[row + 1 :].astype(np.float64), -1, 1)
            found[at : at + len(part)] = np.sqrt(2 * part) if method == "ward" else part
            at += len(part)
    return found


def _chained(groups: Sequence[I64], count: int) -> tuple[I64, I64]:
    """Return merges that join each group, and the number that stands for each then."""
    merges: list[tuple[int, int]] = []
    tops = []
    for members in groups:
        top = int(members[0])
        for member in members[1:].tolist():
            merges.append((top, member))
            top = count + len(merges) - 1
        tops.append(top)
    return np.array(merges, np.int64).reshape(-1, 2), np.array(tops, np.int64)
