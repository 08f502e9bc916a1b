"""How far the top samples of two snapshots are the same."""

from dataclasses import dataclass

import numpy as np

from streams.arrays import I64, AnyArray
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two snapshots' tables of hits.

    sets: share of the clusters that fired with the very same top samples. samples: share of the
    places in the tables whose sample is in the same cluster's table of the other snapshot, too.
    """

    sets: float
    samples: float


def agreement(one: RunManifest, other: RunManifest) -> Agreement:
    """Compare the hits of two snapshots of the same clusters; ranks and scores do not count."""
    first, second = _hits(one), _hits(other)
    both = np.concatenate([first, second])
    both = both[np.lexsort(both.T)]
    common = both[1:][(both[1:] == both[:-1]).all(axis=1)]
    clusters = int(both[:, 0].max(initial=0)) + 1
    mine, theirs, shared = (_per_cluster(hits, clusters) for hits in (first, second, common))
    fired = (mine > 0) | (theirs > 0)
    same = (mine == shared) & (theirs == shared)
    sets = float(same[fired].mean()) if fired.any() else 1.0
    return Agreement(sets, 2 * len(common) / len(both) if len(both) else 1.0)


def _hits(manifest: RunManifest) -> AnyArray:
    """Return the cluster and both halves of the sample of each hit once, uint64 [hit, 3]."""
    table = read_table(manifest, "hits", columns=["cluster", "sample"])
    keys = b"".join(table["sample"].to_pylist())
    cluster = table["cluster"].to_numpy().astype(np.uint64)
    found = np.column_stack([cluster, np.frombuffer(keys, np.uint64).reshape(-1, 2)])
    found = found[np.lexsort(found.T)]
    once: AnyArray = found[np.append(True, (found[1:] != found[:-1]).any(axis=1))[: len(found)]]
    return once


def _per_cluster(hits: AnyArray, clusters: int) -> I64:
    return np.bincount(hits[:, 0].astype(np.int64), minlength=clusters).astype(np.int64)
