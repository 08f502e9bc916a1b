"""Pairs of clusters that co-activate, found from either side."""

import numpy as np

from streams.arrays import I64
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table


class ClusterPairs:
    """Pairs [pair] of clusters a < b with the tokens at which both are active."""

    def __init__(self, a: I64, b: I64, tokens: I64) -> None:
        self._other = np.concatenate([b, a]).astype(np.int32)
        self._tokens = np.concatenate([tokens, tokens])
        here = np.concatenate([a, b])
        order = np.argsort(here, kind="stable")
        self._here = here[order].astype(np.int32)
        self._other, self._tokens = self._other[order], self._tokens[order]

    def of(self, cluster: int) -> tuple[I64, I64]:
        """Return the clusters that co-activate with one, and at how many tokens."""
        first, stop = np.searchsorted(self._here, [cluster, cluster + 1])
        return self._other[first:stop].astype(np.int64), self._tokens[first:stop]

    def among(self, clusters: I64) -> tuple[I64, I64, I64]:
        """Return the pairs among some clusters from either side: places in ``clusters``, tokens."""
        place = np.full(max(int(clusters.max(initial=0)), int(self._here.max(initial=0))) + 1, -1)
        place[clusters] = np.arange(len(clusters))
        a, b = place[self._here], place[self._other]
        keep = (a >= 0) & (b >= 0)
        return a[keep], b[keep], self._tokens[keep]


def read_cluster_pairs(manifest: RunManifest) -> ClusterPairs:
    """Read the pairs of a snapshot that has some; raises SnapshotError."""
    names = ("cluster_a", "cluster_b", "tokens")
    table = read_table(manifest, "coactivation", columns=names)
    a, b, tokens = (table[name].to_numpy() for name in names)
    return ClusterPairs(a, b, tokens)
